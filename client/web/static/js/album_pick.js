// @ts-check
// Chooses a person of an album by face or name: the alternative to drag and drop for keyboards and touch.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { openDialog } from "./dialogs.js";
import { button, picture } from "./view.js";
import { named, plural } from "./words.js";

const MOST = 60; // faces shown at once; typing a name finds the others

const LETTERS = { ø: "o", đ: "d", ð: "d", þ: "th", ł: "l", ß: "ss", æ: "ae", œ: "oe", ı: "i", ħ: "h" };

// Ignores case and accents, like the server's names.py.
function folded(text) {
  return text
    .toLowerCase()
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .replace(/[øđðþłßæœıħ]/g, (letter) => LETTERS[letter]);
}

// Resolves to one of `people`, or null if the dialog was closed. `face(person)` is the URL of their picture.
export function pickPerson(people, { title, text, action, face }) {
  return new Promise((resolve) => {
    let words = "";
    let chosen = null;
    let picked = null;
    const rest = (count) => `and ${plural(count, "more", "more")}: type a name`;

    function content() {
      const found = people.filter((person) => !words || folded(person.name ?? "").includes(words));
      return html`${text ? html`<p>${text}</p>` : nothing} ${people.length > 8 ? search() : nothing}
        <fieldset class="pick-people">
          <legend class="visually-hidden">${title}</legend>
          ${repeat(found.slice(0, MOST), ({ person }) => person, choice)}
          ${found.length > MOST ? html`<p>${rest(found.length - MOST)}</p>` : nothing}
          ${found.length ? nothing : html`<p>Nobody by that name.</p>`}
        </fieldset>
        <div class="row">
          ${button("Cancel", { onclick: () => dialog.close() })}
          <button class="button primary" type="submit" ?disabled=${!chosen}>${action}</button>
        </div>`;
    }

    const search = () =>
      html`<label class="field">
        <span class="visually-hidden">Search by name</span>
        <input
          type="search"
          autocomplete="off"
          maxlength="200"
          placeholder="Search by name"
          @input=${({ target }) => {
            words = folded(target.value.trim());
            draw();
          }}
        />
      </label>`;

    const choice = (person) =>
      html`<label>
        <input
          type="radio"
          name="person"
          value=${person.person}
          class="visually-hidden"
          .checked=${chosen === person}
          @change=${() => {
            chosen = person;
            draw();
          }}
        />
        ${picture(face(person))}
        <span>
          <strong>${person.name ? named(person.name) : "Not named yet"}</strong>
          <span>${plural(person.photos, "photo")}</span>
        </span>
      </label>`;

    const { dialog, draw } = openDialog(title, content, {
      onsubmit: () => (picked = chosen),
      onclose: () => resolve(picked),
    });
    dialog.querySelector("input").focus(); // to search, or the first of them
  });
}
