// "Are these two one person?": asks the most useful questions first, answered by click or by Y and N.

import { op } from "./api.js";
import { button, el, errorState, plural, state } from "./dom.js";
import { faceAddress } from "./album_people.js";
import { picture } from "./grid.js";

const choice = (label, key, kind, onclick) => el("button", { type: "button", class: `button ${kind}`, on: { click: onclick } }, label, el("kbd", { "aria-hidden": "true" }, key));

export function showSuggestions(container, context) {
  const { album } = context;
  let waiting = [];
  let skipped = 0;
  let busy = false;

  async function load() {
    container.replaceChildren(el("div", { class: "card suggestion skeleton", style: { height: "420px" }, role: "status", "aria-label": "Loading" }));
    try {
      waiting = (await op("album.suggest", { album })).suggestions;
      skipped = 0;
      draw();
    } catch (error) {
      container.replaceChildren(errorState(error, load));
    }
  }

  function draw() {
    const one = waiting[0];
    if (!one) {
      container.replaceChildren(skipped
        ? state("question", "Those were all", `${plural(skipped, "question")} skipped.`, button("Ask again", { onclick: load }))
        : state("check", "Nothing to ask", "Whenever two people of the album look like one, you are asked here."));
      return;
    }
    const figure = (person) => el("figure", {}, picture(faceAddress(album, person.face, 480), person.name ?? "Somebody not named yet"),
      el("figcaption", {}, person.name ?? "Not named yet", el("span", {}, plural(person.faces, "face"))));
    container.replaceChildren(el("div", { class: "card suggestion" },
      el("h2", {}, "Is this one person?"),
      el("div", { class: "suggestion-pair" }, figure(one.one), figure(one.other)),
      el("div", { class: "row center" },
        choice("Yes, one person", "Y", "primary", () => answer(true)), choice("No, two", "N", "", () => answer(false)), button("Skip", { kind: "quiet", onclick: skip })),
      el("p", { class: "sub" }, `${one.similarity.toFixed(2)} similar · settles ${plural(one.faces, "face")} · ${plural(waiting.length, "question")} left`)));
    if (document.activeElement === document.body || container.contains(document.activeElement)) container.querySelector(".button").focus({ preventScroll: true });
  }

  async function answer(same) {
    if (busy || !waiting.length) return;
    busy = true;
    const { one, other } = waiting[0];
    waiting.shift();
    const people = [one.person, other.person];
    await context.change(() => (same ? op("album.merge", { album, people }) : op("album.different", { album, people })), {
      // After a merge, other questions about these two are outdated
      then: () => (same && waiting.some((next) => [next.one, next.other].some((person) => people.includes(person.person))) ? load() : draw()),
    });
    busy = false;
  }

  function skip() {
    waiting.shift();
    skipped += 1;
    draw();
  }

  const key = (event) => {
    if (event.target.closest("input, dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.toLowerCase() === "y") answer(true);
    if (event.key.toLowerCase() === "n") answer(false);
  };
  document.addEventListener("keydown", key);
  load();
  return { close: () => document.removeEventListener("keydown", key), stale: (finished) => { if (finished) load(); } };
}
