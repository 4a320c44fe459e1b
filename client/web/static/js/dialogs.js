// @ts-check
// Dialogs: something to read, and questions.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { acceptPictures } from "./formats.js";
import { button, freshId, reasonList, render } from "./view.js";
import { isolated, named } from "./words.js";

// Opens a dialog under a heading; `content(its id)` is its form's content, and `draw` in the result draws it again.
export function openDialog(title, content, { kind = "", onsubmit = (_form) => {}, onclose = () => {} } = {}) {
  const dialog = document.createElement("dialog");
  dialog.className = kind;
  const heading = freshId("title");
  dialog.setAttribute("aria-labelledby", heading);
  const draw = () =>
    render(
      html`<form method="dialog" @submit=${(event) => onsubmit(event.currentTarget)}>
        <h2 id=${heading}>${title}</h2>
        ${content(heading)}
      </form>`,
      dialog,
    );
  dialog.addEventListener("close", () => {
    dialog.remove();
    onclose();
  });
  draw();
  document.body.append(dialog);
  dialog.showModal();
  return { dialog, draw };
}

// Something to read: what was refused, and each reason. `entries`: [{name, reasons: [text], action}]; the action
// {label, act} is a button, and what `act` resolves to replaces the entry.
export function tell(title, entries) {
  const shown = [...entries];
  const acting = new Set(); // places in `shown`
  const { dialog, draw } = openDialog(
    title,
    (heading) =>
      html`<ul class="refusals" tabindex="0" aria-labelledby=${heading}>
          ${shown.map(
            ({ name, reasons, action }, place) =>
              html`<li>
                <strong>${named(name)}</strong>
                ${reasonList(reasons)}
                ${
                  action
                    ? button(action.label, {
                        small: true,
                        disabled: acting.has(place),
                        "aria-label": `${action.label}: ${isolated(name)}`,
                        onclick: () => act(place, action),
                      })
                    : nothing
                }
              </li>`,
          )}
        </ul>
        <div class="row"><button class="button primary" type="submit" autofocus>Close</button></div>`,
  );

  async function act(place, action) {
    acting.add(place);
    draw();
    shown[place] = await action.act();
    acting.delete(place);
    draw();
    /** @type {HTMLElement} */ (dialog.querySelector("[type=submit]")).focus();
  }
}

// A question, of texts and `pictures`. Resolves to the form's values, or null where it was closed.
/**
 * @param {{title: string, text?: unknown, fields?: any[], action: string, danger?: boolean}} question
 * @returns {Promise<any>}
 */
export function ask({ title, text, fields = [], action, danger = false }) {
  return new Promise((resolve) => {
    const lists = fields.map(() => freshId("options"));
    let values = null;
    const { dialog } = openDialog(
      title,
      () => html`
        ${text ? html`<p>${text}</p>` : nothing}
        ${fields.map((one, place) => (one.pictures ? pictures(one) : field(one, lists[place])))}
        <div class="row">
          ${button("Cancel", { onclick: () => dialog.close() })}
          <button type="submit" class=${`button ${danger ? "danger" : "primary"}`}>${action}</button>
        </div>
      `,
      {
        onsubmit: (form) => (values = valuesOf(form)),
        onclose: () => resolve(values),
      },
    );
    const first = dialog.querySelector("input");
    first?.focus();
    first?.select();
  });
}

const pictures = ({ name, label }) =>
  html`<label class="field">
    <span>${label}</span>
    <input type="file" name=${name} accept=${acceptPictures()} multiple required />
  </label>`;

const field = ({ name, label, value = "", optional = false, placeholder = nothing, options = null }, list) =>
  html`<label class="field">
    <span>${label}</span>
    <input
      name=${name}
      value=${value}
      maxlength="200"
      dir="auto"
      autocomplete="off"
      placeholder=${placeholder}
      list=${options ? list : nothing}
      ?required=${!optional}
    />
    ${options ? html`<datalist id=${list}>${options.map(option)}</datalist>` : nothing}
  </label>`;

const option = (value) => html`<option value=${value}></option>`;

function valuesOf(form) {
  /** @type {Record<string, any>} */
  const values = Object.fromEntries(new FormData(form));
  form.querySelectorAll("input[type=file]").forEach((input) => {
    values[input.name] = [...input.files];
  });
  return values;
}
