// @ts-check
// The months in which photos were taken, to jump by.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { element as elementOf, render } from "./view.js";
import { plural } from "./words.js";

const MONTH = new Intl.DateTimeFormat("en", { month: "short", timeZone: "UTC" });
const DAY = new Intl.DateTimeFormat("en", {
  weekday: "long",
  day: "numeric",
  month: "long",
  year: "numeric",
  timeZone: "UTC",
});
const UNKNOWN = "Day unknown";

export const dayName = (day) => (day ? DAY.format(new Date(`${day}T00:00Z`)) : UNKNOWN);

// Months as [{year, month, photos, at: the place of its first day}], the newest first; `year` is null for the unknown.
function monthsOf(days) {
  const placed = days.map((one, at) => ({ ...one, at }));
  return [...Map.groupBy(placed, ({ day }) => day?.slice(0, 7))].map(([key, its]) => ({
    year: key?.slice(0, 4) ?? null,
    month: key && MONTH.format(new Date(`${key}-01T00:00Z`)),
    photos: its.reduce((sum, { photos }) => sum + photos, 0),
    at: its[0].at,
  }));
}

// `heads()`: the headings of the days, as they are on the page. {element, close}
export function timeline(days, heads) {
  const months = monthsOf(days);
  const years = Map.groupBy(months, ({ year }) => year);
  const element = elementOf(html`<nav class="timeline" aria-label="Timeline" ?hidden=${months.length < 2}></nav>`);
  let here = null; // the month that is at the top of the screen
  let frame = 0;

  const draw = () =>
    render(
      html`<ol>
        ${[...years].map(
          ([year, its]) =>
            html`<li>
              <span class="timeline-year">${year ?? "Unknown"}</span>
              <ol>
                ${its.map(entry)}
              </ol>
            </li>`,
        )}
      </ol>`,
      element,
    );

  const entry = (one) =>
    html`<li>
      <button
        type="button"
        aria-label=${`${one.month ? `${one.month} ${one.year}` : UNKNOWN}, ${plural(one.photos, "photo")}`}
        aria-current=${here === one ? "true" : nothing}
        @click=${() => heads()[one.at]?.scrollIntoView({ block: "start" })}
      >
        ${one.month ?? "?"}
      </button>
    </li>`;

  // Marks the month that is here, and shows it.
  function mark() {
    frame = 0;
    const all = heads();
    const passed = months.filter(({ at }) => all[at]?.getBoundingClientRect().top < 140);
    here = passed.at(-1) ?? months[0];
    draw();
    const current = element.querySelector("[aria-current]");
    if (current && !element.contains(document.activeElement))
      element.scrollTo({
        top: current.offsetTop - element.clientHeight / 2,
        left: current.offsetLeft - element.clientWidth / 2,
      });
  }
  const moved = () => {
    frame ||= requestAnimationFrame(mark);
  };
  document.addEventListener("scroll", moved, { passive: true });
  draw();
  moved();
  return {
    element,
    close: () => {
      cancelAnimationFrame(frame);
      document.removeEventListener("scroll", moved);
    },
  };
}
