// @ts-check
// What views are drawn with: lit-html's templates, in which everything inserted is text, and parts of them.

import { html, nothing, render as renderAll } from "../vendor/lit-html/lit-html.js";
import { takePicture } from "./page_answers.js";

const ends = new WeakMap(); // of what lit-html draws in a container

// Makes `container` show the template, and keeps the nodes that stay. A focused element that goes leaves the focus to
// the one with its name, or else to the one in its place.
/** @param {unknown} template @param {HTMLElement | DocumentFragment} container */
export function render(template, container) {
  const reachable = () => [.../** @type {NodeListOf<HTMLElement>} */ (container.querySelectorAll(REACHABLE))];
  const focused = /** @type {HTMLElement} */ (container.contains(document.activeElement) && document.activeElement);
  const before = focused ? reachable().map((one) => ({ one, name: called(one) })) : [];
  // Otherwise it has what the server put into it.
  if (ends.get(container)?.parentNode !== container) {
    ends.set(container, document.createComment(""));
    container.replaceChildren(ends.get(container));
  }
  renderAll(template, container, { renderBefore: ends.get(container) });
  const place = before.findIndex(({ one }) => one === focused);
  if (place < 0 || document.activeElement === focused) return;
  const { name } = before[place];
  const after = reachable();
  const unique = before.filter((one) => one.name === name).length === 1; // otherwise the name is ambiguous
  const there =
    after.find((one) => one === focused) ?? // it was moved
    ((unique && after.find((one) => called(one) === name)) || after[Math.min(place, after.length - 1)]);
  there?.focus({ preventScroll: true });
}

const REACHABLE = "a[href], button, input, select";
const called = (one) => one.id || one.getAttribute("aria-label") || one.textContent;

// The element of a template, drawn once: for what needs an element, such as a grid's cell.
/** @returns {any} */
export function element(template) {
  const room = document.createDocumentFragment();
  renderAll(template, room);
  return room.firstElementChild;
}

// Puts words into a live region, which must not be read out again where they are there already.
export function say(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

let numbers = 0;

// An id unique on the page. (crypto.randomUUID only exists over TLS and on localhost.)
export const freshId = (kind) => `${kind}-${(numbers += 1)}`;

/** @type {(id: string) => any} */
export const byId = (id) => document.getElementById(id);

export const icon = (name) => html`<svg class="icon" aria-hidden="true"><use href="#i-${name}"></use></svg>`;

/** @param {unknown} label @param {any} [options] */
export function button(label, { name, kind = "", small = false, hidden = false, disabled = false, ...more } = {}) {
  const attribute = (key) => more[key] ?? nothing;
  return html`<button
    type="button"
    class=${`button ${kind} ${small ? "small" : ""} ${name && !label ? "square" : ""}`}
    title=${attribute("title")}
    aria-label=${attribute("aria-label")}
    aria-disabled=${attribute("aria-disabled")}
    aria-pressed=${attribute("aria-pressed")}
    aria-expanded=${attribute("aria-expanded")}
    aria-current=${attribute("aria-current")}
    aria-keyshortcuts=${attribute("aria-keyshortcuts")}
    ?hidden=${hidden}
    ?disabled=${disabled}
    @click=${more.onclick}
  >
    ${name ? icon(name) : nothing}${label}
  </button>`;
}

/** @param {number} share @param {{ tick?: number, tone?: string }} [options] */
export function meter(share, { tick, tone } = {}) {
  const limit = (value) => `${Math.min(1, Math.max(0, value)) * 100}%`;
  return html`<div class="meter" aria-hidden="true" .style=${tone ? `--tone: ${tone}` : ""}>
    <div class="meter-fill" .style=${`width: ${limit(share)}`}></div>
    ${tick === undefined ? nothing : html`<div class="meter-tick" .style=${`left: ${limit(tick)}`}></div>`}
  </div>`;
}

// A picture that may be missing: the first screen's own element, where it has one.
export function picture(source, alt = "") {
  const image = takePicture(source);
  image?.addEventListener("error", hide);
  return (
    image ??
    html`<img
      loading="lazy"
      decoding="async"
      draggable="false"
      alt=${alt}
      src=${source}
      @error=${hide}
      @load=${(event) => (event.target.hidden = false)}
    />`
  );
}

const hide = (event) => (event.target.hidden = true);

// Placeholders while the first page of a grid in `container` is loading.
export function loading(container, { minWidth = 150, height = 220, count = 12 } = {}) {
  const columns = Math.max(2, Math.floor(container.clientWidth / (minWidth + 16)) || 4);
  return html`<div
    class="vgrid-chunk"
    role="status"
    aria-label="Loading"
    .style=${`--columns: ${columns}; --gap: 16px; --cell: ${height}px`}
  >
    ${Array.from({ length: count }, () => html`<div class="vgrid-cell skeleton" aria-hidden="true"></div>`)}
  </div>`;
}

// Shown instead of a view's content if it is empty or failed to load; says what to do.
export const state = (sign, title, text, ...actions) =>
  html`<div class="state">
    ${icon(sign)}
    <p class="state-title">${title}</p>
    ${text ? html`<p>${text}</p>` : nothing}
    ${actions.some(Boolean) ? html`<div class="row center">${actions}</div>` : nothing}
  </div>`;

export function errorState(error, retry) {
  const offline = error.code === "offline" || error.code === "gateway";
  const title = offline
    ? "The server can't be reached"
    : error.code === "unsupported_op"
      ? "This server can't do that"
      : "That didn't work";
  const text =
    error.code === "unsupported_op" ? "It is older than this page. Update it, then reload the page." : error.message;
  return state(offline ? "unplug" : "question", title, text, retry ? button("Try again", { onclick: retry }) : null);
}

export const reasonList = (reasons) =>
  html`<ul class="reasons">
    ${reasons.map((reason) => html`<li>${reason}</li>`)}
  </ul>`;
