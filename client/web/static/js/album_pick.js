// Chooses a person of an album by face or name: the alternative to drag and drop for keyboards and touch.

import { button, el, freshId, plural } from "./dom.js";
import { picture } from "./grid.js";

const MOST = 60;  // faces shown at once; typing a name finds the others

const LETTERS = { ø: "o", đ: "d", ð: "d", þ: "th", ł: "l", ß: "ss", æ: "ae", œ: "oe", ı: "i", ħ: "h" };

// Ignores case and accents, like the server's names.py.
function folded(text) {
  return text.toLowerCase().normalize("NFKD").replace(/\p{M}/gu, "").replace(/[øđðþłßæœıħ]/g, (letter) => LETTERS[letter]);
}

// Resolves to one of `people`, or null if the dialog was closed. `face(person)` is the URL of their picture.
export function pickPerson(people, { title, text, action, face }) {
  return new Promise((resolve) => {
    let chosen = null;
    const heading = el("h2", { id: freshId("title") }, title);
    const search = el("input", { type: "search", autocomplete: "off", maxlength: 200, placeholder: "Search by name" });
    const choices = el("fieldset", { class: "pick-people" });
    const submit = el("button", { class: "button primary", type: "submit" }, action);
    const form = el("form", { method: "dialog" }, heading, text ? el("p", {}, text) : null,
      people.length > 8 ? el("label", { class: "field" }, el("span", { class: "visually-hidden" }, "Search by name"), search) : null, choices,
      el("div", { class: "row" }, button("Cancel", { onclick: () => dialog.close() }), submit));
    const dialog = el("dialog", { "aria-labelledby": heading.id }, form);

    function draw() {
      const words = folded(search.value.trim());
      const found = people.filter((person) => !words || folded(person.name ?? "").includes(words));
      choices.replaceChildren(el("legend", { class: "visually-hidden" }, title), ...found.slice(0, MOST).map(choice),
        found.length > MOST ? el("p", {}, `and ${plural(found.length - MOST, "more", "more")}: type a name`) : "", found.length ? "" : el("p", {}, "Nobody by that name."));
      submit.disabled = !chosen;
    }

    function choice(person) {
      const input = el("input", { type: "radio", name: "person", value: person.person, class: "visually-hidden" });
      input.checked = chosen === person;
      input.addEventListener("change", () => { chosen = person; submit.disabled = false; });
      return el("label", {}, input, picture(face(person)), el("span", {}, el("strong", {}, person.name ?? "Not named yet"), el("span", {}, plural(person.photos, "photo"))));
    }

    let picked = null;
    search.addEventListener("input", draw);
    form.addEventListener("submit", () => { picked = chosen; });
    dialog.addEventListener("close", () => { dialog.remove(); resolve(picked); });
    draw();
    document.body.append(dialog);
    dialog.showModal();
    (form.querySelector("input[type=search]") ?? choices.querySelector("input")).focus();
  });
}
