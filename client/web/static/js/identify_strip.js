// @ts-check
// The pictures of Identify as a strip: one is shown, any can be taken out.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { byId, icon, render } from "./view.js";
import { isolated, plural, whole } from "./words.js";

const strip = byId("strip");
const STATES = { error: "failed", waiting: "waiting", asking: "being looked at" };

// `shots`: {file, url, state, answer}; `onshow(shot)`, `onremove(shot)`.
export function drawStrip(shots, current, { onshow, onremove }) {
  strip.hidden = !shots.length;
  render(
    repeat(shots, (shot) => shot, entry),
    strip,
  );

  function entry(shot) {
    const answer = shot.state === "error" ? null : shot.answer;
    const sign = shot.state === "error" ? "!" : answer && whole(answer.faces.length);
    const name = isolated(shot.file.name);
    return html`<li>
      <button
        type="button"
        class="strip-show"
        aria-label=${`${name}: ${answer ? plural(answer.faces.length, "face") : STATES[shot.state]}`}
        aria-current=${shot === current}
        @click=${() => onshow(shot)}
      >
        <img src=${shot.url} alt="" @error=${({ target }) => (target.hidden = true)} />
        ${sign ? html`<span class="strip-count" data-state=${shot.state} aria-hidden="true">${sign}</span>` : nothing}
      </button>
      <button
        type="button"
        class="strip-out"
        aria-label=${`Take ${name} out`}
        title="Take this picture out"
        @click=${() => onremove(shot)}
      >
        ${icon("close")}
      </button>
    </li>`;
  }
}
