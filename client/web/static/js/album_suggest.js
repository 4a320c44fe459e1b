// @ts-check
// "Are these the same person?": asks the most useful questions first, answered by click or by Y and N.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { op } from "./api.js";
import { called, faceAddress } from "./album_people.js";
import { openPhotos, photoTile } from "./album_photos.js";
import { button, errorState, picture, render, state } from "./view.js";
import { hundredths, named, plural } from "./words.js";

const MOST = 100; // questions asked for at a time, as many as the server ranks
const PHOTOS = 4; // of each side, shown below the face

export function showSuggestions(container, context) {
  const { album } = context;
  let waiting = null; // questions
  let shown = null; // the one on the screen
  let problem = null; // why there are none
  let skipped = 0;
  let busy = false;
  let late = false; // also ask about single faces of the background
  let last = null; // {words, undo} of the last answer: shown here, where it covers no button
  const tiles = new Map(); // person -> some of their photos

  async function load() {
    waiting = problem = null;
    tiles.clear();
    draw();
    try {
      waiting = (await op("album.suggest", { album, limit: MOST })).suggestions;
      skipped = 0;
    } catch (error) {
      problem = error;
    }
    draw();
  }

  const asked = () => (waiting ?? []).filter((one) => late || !one.background);

  function draw() {
    const [one] = asked();
    render(
      problem
        ? errorState(problem, load)
        : !waiting
          ? LOADING
          : one
            ? repeat([one], (each) => each, question) // a new card: no face of the last one stays in it
            : html`<div>${report()}${nothingLeft(waiting.length)}</div>`,
      container,
    );
    if (one === shown) return;
    shown = one;
    if (one && (document.activeElement === document.body || container.contains(document.activeElement)))
      container.querySelector(".button").focus({ preventScroll: true });
  }

  const question = ({ one, other, similarity, faces }) =>
    html`<div class="card suggestion">
      <h2>Is this the same person?</h2>
      <div class="row center">
        ${choice("Yes, the same person", "Y", "primary", () => answer(true))}
        ${choice("No, two", "N", "", () => answer(false))} ${button("Skip", { kind: "quiet", onclick: skip })}
      </div>
      ${report()}
      <div class="suggestion-pair">${side(one)}${side(other)}</div>
      <p class="sub">
        ${hundredths(similarity)} similar · settles ${plural(faces, "face")} · ${plural(asked().length, "question")}
        left
      </p>
    </div>`;

  function nothingLeft(background) {
    const again = skipped ? button("Ask again", { onclick: load }) : null;
    const askLate = () => {
      late = true;
      draw();
    };
    if (background)
      return state(
        "question",
        "Only faces of the background are left",
        `${plural(background, "question")} about small or blurred faces that are seen once.`,
        button("Ask me", { kind: "primary", onclick: askLate }),
        again,
      );
    if (skipped) return state("question", "That's all of them", `${plural(skipped, "question")} skipped.`, again);
    return state("check", "Nothing to ask", "When two people of the album may be the same person, you are asked here.");
  }

  const report = () =>
    html`<div class="suggestion-done" role="status">
      ${last ? html`<span>${last.words}</span>` : nothing}
      ${last?.undo ? button("Undo", { small: true, name: "undo", onclick: last.undo }) : nothing}
    </div>`;

  function side(person) {
    if (!tiles.has(person.person)) loadPhotos(person);
    return html`<figure>
      ${picture(faceAddress(album, person.face, 480), person.name ? called(person) : "Somebody not named yet")}
      <figcaption>
        ${person.name ? named(person.name) : called(person)}<span>${plural(person.faces, "face")}</span>
      </figcaption>
      <div class="suggestion-photos">${tiles.get(person.person)}</div>
    </figure>`;
  }

  async function loadPhotos({ person }) {
    tiles.set(person, []);
    try {
      const { photos } = await op("album.photos", { album, person, limit: PHOTOS });
      const open = (index) => openPhotos(context, index, photos.length, async (place) => photos[place]);
      tiles.set(
        person,
        photos.map((photo, index) => photoTile(album, photo, () => open(index))),
      );
      draw();
    } catch {
      // the faces are shown, which is enough for an answer
    }
  }

  const say = (words, undo) => {
    last = { words, undo };
  };

  async function answer(same) {
    const [question] = asked();
    if (busy || !question) return;
    busy = true;
    const people = [question.one.person, question.other.person];
    // After a merge, other questions about these two are outdated
    const outdated = (next) => same && [next.one, next.other].some(({ person }) => people.includes(person));
    const then = () => {
      waiting = waiting?.filter((one) => one !== question);
      return waiting?.some(outdated) ? load() : draw();
    };
    await context.change(() => op(same ? "album.merge" : "album.different", { album, people }), { say, then });
    busy = false;
  }

  function skip() {
    waiting.shift();
    skipped += 1;
    last = null;
    draw();
  }

  const key = (event) => {
    if (event.target.closest("input, dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.toLowerCase() === "y") answer(true);
    if (event.key.toLowerCase() === "n") answer(false);
  };
  document.addEventListener("keydown", key);
  load();
  return {
    close: () => document.removeEventListener("keydown", key),
    stale: (finished) => {
      if (finished) load();
    },
  };
}

const LOADING = html`<div
  class="card suggestion skeleton"
  .style=${"height: 420px"}
  role="status"
  aria-label="Loading"
></div>`;

const choice = (label, key, kind, onclick) =>
  html`<button type="button" class=${`button ${kind}`} @click=${onclick}>
    ${label}<kbd aria-hidden="true">${key}</kbd>
  </button>`;
