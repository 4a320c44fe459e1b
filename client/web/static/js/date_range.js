// @ts-check
// Two days between which photos were taken; either may be left open.

import { html } from "../vendor/lit-html/lit-html.js";
import { button, element as elementOf, render } from "./view.js";

const FIRST = "1826-01-01";

// {element, since(), until()}; calls `onchange` when a day was chosen or taken away.
export function dateRange(onchange) {
  const chosen = { since: "", until: "" };
  const element = elementOf(html`<div class="dates" role="group" aria-label="When they were taken"></div>`);

  function change(days) {
    Object.assign(chosen, days);
    draw();
    onchange();
  }

  // Their values are the browser's own: it would take away a day that is typed in part.
  const day = (which, label, min) =>
    html`<input
      type="date"
      aria-label=${label}
      min=${min}
      max="9999-12-31"
      @change=${({ target }) => change({ [which]: target.value })}
    />`;

  function clear() {
    const [since, until] = element.querySelectorAll("input");
    since.value = until.value = "";
    change({ since: "", until: "" });
    since.focus();
  }

  const draw = () =>
    render(
      html`${day("since", "Taken from", FIRST)}
        <span aria-hidden="true">to</span>
        ${day("until", "Taken until", chosen.since || FIRST)}
        ${button("", {
          name: "close",
          kind: "quiet",
          small: true,
          "aria-label": "Of any day",
          hidden: !chosen.since && !chosen.until,
          onclick: clear,
        })}`,
      element,
    );

  draw();
  return { element, since: () => chosen.since, until: () => chosen.until };
}
