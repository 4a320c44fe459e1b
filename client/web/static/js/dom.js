// Builds elements from text, never from HTML, so user input stays text.

import { acceptPictures } from "./formats.js";

const SVG = "http://www.w3.org/2000/svg";

// el("p", {class: "sub"}, "words", otherElement). `on` holds listeners, `data` data-*, `style` CSS properties.
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "on") Object.entries(value).forEach(([event, listener]) => element.addEventListener(event, listener));
    else if (key === "data") Object.assign(element.dataset, value);
    else if (key === "style") setStyle(element, value);
    else if (value === true) element.setAttribute(key, "");
    else element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export function setStyle(element, properties) {
  for (const [name, value] of Object.entries(properties)) element.style.setProperty(name, value);
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

export function button(label, { name, kind = "", small = false, onclick, ...rest } = {}) {
  const classes = `button ${kind} ${small ? "small" : ""} ${name && !label ? "square" : ""}`;
  return el("button", { type: "button", class: classes, on: onclick ? { click: onclick } : undefined, ...rest },
    name ? icon(name) : null, label || null);
}

// Replaces the contents of `container`, and keeps the focus on the element with the same name, or else position.
export function redraw(container, ...children) {
  const reachable = () => [...container.querySelectorAll("a[href], button, input, select")];
  const called = (one) => one.id || one.getAttribute("aria-label") || one.textContent;
  const before = reachable();
  const place = before.indexOf(document.activeElement);
  const name = place < 0 ? null : called(before[place]);
  container.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
  if (place < 0) return;
  const after = reachable();
  const unique = before.filter((one) => called(one) === name).length === 1;  // otherwise the name is ambiguous
  const there = (unique && after.find((one) => called(one) === name)) || after[Math.min(place, after.length - 1)];
  there?.focus({ preventScroll: true });
}

let numbers = 0;

// An id unique on the page. (crypto.randomUUID only exists over TLS and on localhost.)
export const freshId = (kind) => `${kind}-${numbers += 1}`;

export const byId = (id) => document.getElementById(id);

export const percent = (share) => `${Math.round(share * 100)} %`;

export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

export function megabytes(bytes) {
  if (bytes < 1e6) return `${Math.max(1, Math.round(bytes / 1e3))} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s left`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min left` : `${(seconds / 3600).toFixed(1)} h left`;
}

export function meter(share, { tick, tone } = {}) {
  const limit = (value) => `${Math.min(1, Math.max(0, value)) * 100}%`;
  const bar = el("div", { class: "meter", "aria-hidden": "true" }, el("div", { class: "meter-fill", style: { width: limit(share) } }));
  if (tick !== undefined) bar.append(el("div", { class: "meter-tick", style: { left: limit(tick) } }));
  if (tone) bar.style.setProperty("--tone", tone);
  return bar;
}

// Shown instead of a view's content if it is empty or failed to load; says what to do.
export function state(sign, title, text, ...actions) {
  return el("div", { class: "state" }, icon(sign), el("p", { class: "state-title" }, title), text ? el("p", {}, text) : null,
    actions.length ? el("div", { class: "row center" }, actions) : null);
}

export function errorState(error, retry) {
  const offline = error.code === "offline" || error.code === "gateway";
  const title = offline ? "The server can't be reached" : error.code === "unsupported_op" ? "This server can't do that" : "That did not work";
  const text = error.code === "unsupported_op" ? "It is older than this page. Update it, and load the page again." : error.message;
  return state(offline ? "unplug" : "question", title, text, retry ? button("Try again", { onclick: retry }) : null);
}

// Something to read in a dialog: what was refused, and each reason. `entries`: [{name, reasons: [text], action}]; the
// action {label, act} is a button, and what `act` resolves to replaces the entry.
export function tell(title, entries) {
  const heading = el("h2", { id: freshId("title") }, title);
  const close = el("button", { class: "button primary", type: "submit", autofocus: true }, "Close");
  const entry = ({ name, reasons, action }) => {
    const item = el("li", {}, el("strong", {}, name), reasonList(reasons));
    const act = async (event) => {
      event.target.disabled = true;
      item.replaceWith(entry(await action.act()));
      close.focus();
    };
    if (action) item.append(button(action.label, { small: true, "aria-label": `${action.label}: ${name}`, onclick: act }));
    return item;
  };
  const dialog = el("dialog", { "aria-labelledby": heading.id }, el("form", { method: "dialog" }, heading,
    el("ul", { class: "refusals", tabindex: 0, "aria-labelledby": heading.id }, entries.map(entry)),
    el("div", { class: "row" }, close)));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

export const reasonList = (reasons) => el("ul", { class: "reasons" }, reasons.map((reason) => el("li", {}, reason)));

// A question in a dialog, of texts and `pictures`. Resolves to the form's values, or null where it was closed.
export function ask({ title, text, fields = [], action, danger = false }) {
  return new Promise((resolve) => {
    const inputs = fields.map((field) => {
      if (field.pictures) return el("label", { class: "field" }, el("span", {}, field.label), el("input", { type: "file", name: field.name, accept: acceptPictures(), multiple: true, required: true }));
      const list = field.options ? freshId("options") : undefined;
      const input = el("input", { name: field.name, value: field.value ?? "", required: !field.optional, maxlength: 200, autocomplete: "off", list, placeholder: field.placeholder });
      const options = field.options ? el("datalist", { id: list }, field.options.map((value) => el("option", { value }))) : null;
      return el("label", { class: "field" }, el("span", {}, field.label), input, options);
    });
    const heading = el("h2", { id: freshId("title") }, title);
    const form = el("form", { method: "dialog" }, heading, text ? el("p", {}, text) : null, inputs,
      el("div", { class: "row" }, button("Cancel", { onclick: () => dialog.close() }),
        el("button", { class: `button ${danger ? "danger" : "primary"}`, type: "submit" }, action)));
    const dialog = el("dialog", { "aria-labelledby": heading.id }, form);
    let values = null;
    form.addEventListener("submit", () => {
      values = Object.fromEntries(new FormData(form));
      form.querySelectorAll("input[type=file]").forEach((input) => { values[input.name] = [...input.files]; });
    });
    dialog.addEventListener("close", () => { dialog.remove(); resolve(values); });
    document.body.append(dialog);
    dialog.showModal();
    const first = form.querySelector("input");
    if (first) { first.focus(); first.select(); }
  });
}
