// @ts-check
// Naming people as fast as one can type: whoever is in most photos first. Enter names and goes on; everything else has
// a key as well, which counts while nothing is typed, so that the hands stay in the field.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { address, may, op } from "./api.js";
import { faceAddress } from "./album_people.js";
import { inUse, ofAlbum, tellChange } from "./changes.js";
import { nameField } from "./name_field.js";
import { failed } from "./shell.js";
import { button, byId, errorState, picture, render, state } from "./view.js";
import { hundredths, named, plural } from "./words.js";

const FACES = 8; // shown of each person
const SUGGESTED = 4; // names
const TOUCH = matchMedia("(pointer: coarse)"); // where a focused field brings up a keyboard that hides half the screen

let pending = 0; // answers not sent yet: closing the page would lose them
const stay = (event) => event.preventDefault();

function count(by) {
  pending += by;
  if (pending) addEventListener("beforeunload", stay);
  else removeEventListener("beforeunload", stay);
}

const kbd = (key) => html`<kbd aria-hidden="true">${key}</kbd>`;

const keyed = (label, key, options) =>
  button(html`${label}${kbd({ PageDown: "PgDn" }[key] ?? key)}`, { small: true, "aria-keyshortcuts": key, ...options });

const LOADING = html`<div
  class="card naming skeleton"
  .style=${"height: 420px"}
  role="status"
  aria-label="Loading"
></div>`;

export function showNaming(container, context) {
  const { album } = context;
  let waiting = []; // people to name, the present one first
  let left = 0;
  let gallery = new Map(); // person -> name, as the gallery knows them
  let sending = Promise.resolve();
  let field = null;
  let drawn = null; // the person on the screen
  let faces = []; // the person's other faces
  let names = []; // whom it may be
  let shown = LOADING; // above `told`
  let told = null; // what the last answer did: {text, undo: can it be taken back?}
  let closed = false;
  const later = new Set(); // skipped, until all others are done
  const answers = []; // {person, event, text}: what undo takes back, one after the other
  const given = new Map(); // person -> name
  const details = new Map(); // person -> promise of {faces, suggestions}

  async function load() {
    if (!drawn) show(LOADING);
    try {
      await sending;
      const [page, known] = await Promise.all([
        op("album.people", { album, show: "unnamed", order: "photos", limit: 1000 }),
        recognised(),
      ]);
      if (closed) return;
      gallery = known;
      left = page.total;
      details.clear();
      waiting = page.people.filter((one) => !later.has(one.person));
      const at = waiting.findIndex((one) => one.person === drawn?.person);
      if (at > 0) waiting.unshift(...waiting.splice(at, 1)); // somebody may be typing this one's name
      draw();
    } catch (error) {
      drawn = null;
      if (!closed) show(errorState(error, load));
    }
  }

  async function recognised() {
    if (!may("identify")) return new Map();
    try {
      return new Map((await op("album.recognise", { album })).matches.map((one) => [one.person, one.name]));
    } catch (error) {
      if (error.code === "forbidden") return new Map(); // a token that sees only some people
      throw error;
    }
  }

  // -------------------------------------------------------------------------------------------- what is shown

  // Of a person: their best faces, and whom they resemble.
  function about(person) {
    if (!details.has(person.person)) details.set(person.person, learn(person));
    return details.get(person.person);
  }

  async function learn({ person }) {
    const [{ faces }, { suggestions }] = await Promise.all([
      op("album.faces", { album, person, limit: FACES }),
      op("album.suggest", { album, person, limit: 30 }),
    ]);
    return { faces, suggestions };
  }

  // Whom it may be, [{name, face, why}]; somebody may have got a name since it was learnt whom they resemble.
  function namesFor({ person }, suggestions) {
    const names = new Map();
    if (gallery.has(person)) names.set(gallery.get(person), { name: gallery.get(person), why: "in the gallery" });
    for (const { other, similarity } of suggestions) {
      const name = other.name ?? given.get(other.person);
      if (name && !names.has(name))
        names.set(name, { name, face: other.face, why: `${hundredths(similarity)} similar` });
    }
    return [...names.values()].slice(0, SUGGESTED);
  }

  function draw() {
    const [person, next] = waiting;
    if (!person) {
      drawEnd();
      return;
    }
    const first = !drawn;
    const another = drawn?.person !== person.person;
    drawn = person;
    if (another) {
      faces = names = [];
      field = nameField(album, { label: "Name", value: gallery.get(person.person), onname: name, onkey: key });
    }
    drawCard();
    if (!another) return;
    const byKeys = byId("tabs").querySelector(":focus-visible"); // somebody moves through the tabs
    if (!first || !(TOUCH.matches || byKeys)) focusField();
    about(person).then((details) => {
      if (drawn?.person !== person.person) return;
      faces = details.faces.slice(1);
      names = namesFor(person, details.suggestions);
      drawCard();
    }, failed);
    if (next)
      about(next).then(
        (details) =>
          details.faces.forEach(({ face }, place) => {
            new Image().src = faceAddress(album, face, place ? 160 : 480);
          }),
        () => null,
      );
  }

  // Above what the last answer did.
  function show(content) {
    shown = content;
    render(
      html`${shown}
        <div class="naming-told row" role="status">
          ${told ? html`<span>${told.text}</span>` : nothing}
          ${told?.undo ? button("Take it back", { name: "undo", small: true, onclick: undo }) : nothing}
        </div>`,
      container,
    );
  }

  // Each person's is a new one: no face of the last one stays until the next is there.
  const drawCard = () => show(repeat([drawn], ({ person }) => person, card));

  const card = (person) =>
    html`<div class="card naming">
      <div class="naming-faces">
        ${picture(faceAddress(album, person.face, 480), "The face to name")}
        <div class="naming-strip">${faces.map(({ face }) => picture(faceAddress(album, face, 160)))}</div>
      </div>
      <div class="naming-ask">
        <h2>Who is this?</h2>
        <p class="sub" id="naming-count">
          In ${plural(person.photos, "photo")} · ${plural(left, "person", "people")} to name
        </p>
        <div class="naming-names" role="group" aria-label="Who it may be">${names.map(suggestion)}</div>
        <div class="naming-field">
          ${field.element} ${button("Name", { kind: "primary", onclick: () => field.take() })}
        </div>
        <div class="row">
          ${keyed("Nobody I know", "?", { name: "question", onclick: nobody })}
          ${keyed("Hide", "-", { name: "hide", onclick: hide })}
          ${keyed("Later", "PageDown", { name: "right", onclick: skip })}
          <a class="button quiet small" href=${`#/person/${person.person}`}>Their photos</a>
        </div>
      </div>
    </div>`;

  function focusField() {
    field.input.focus({ preventScroll: true });
    field.input.select();
  }

  function suggestion({ name: called, face, why }, place) {
    const source = face
      ? faceAddress(album, face, 160)
      : (may("enrol") || may("manage")) && address("/api/crop", { name: called });
    return html`<button type="button" class="button" aria-keyshortcuts=${place + 1} @click=${() => name(called)}>
      ${source ? picture(source) : nothing}
      <span>${named(called)}<small>${why}</small></span>
      ${kbd(place + 1)}
    </button>`;
  }

  function drawEnd() {
    drawn = null;
    const again = () => {
      later.clear();
      load();
    };
    show(
      later.size
        ? state(
            "question",
            "That's all but those for later",
            `${plural(later.size, "person", "people")} left.`,
            button("Go on with them", { kind: "primary", onclick: again }),
          )
        : state(
            "check",
            "Nobody left to name",
            context.info.people
              ? "Everybody in this album has a name, or is nobody you know."
              : "People appear here when the photos are processed.",
          ),
    );
    container.querySelector(".state .button")?.focus({ preventScroll: true });
  }

  // -------------------------------------------------------------------------------------------- answers

  // The next person is shown at once; the answers are sent one after the other, in their order.
  function settle(make) {
    const person = waiting.shift();
    left -= 1;
    details.delete(person.person);
    count(1);
    sending = sending.then(async () => {
      try {
        const { done, event } = await make(person.person);
        answers.push({ person, event, text: done });
        tell({ text: `${done[0].toUpperCase()}${done.slice(1)}.`, undo: true });
        tellChange(ofAlbum(album));
        context.refresh();
      } catch (error) {
        failed(error);
        giveBack(person, 1); // after the present one, whose name may be half typed
      } finally {
        count(-1);
      }
    });
    if (waiting.length || left <= later.size) draw();
    else sending.then(load); // of more than one page
  }

  function name(called) {
    const { person } = waiting[0];
    given.set(person, called);
    settle(() => op("album.label", { album, person, name: called }));
  }

  const nobody = () => settle((person) => op("album.stranger", { album, people: [person] }));
  const hide = () => settle((person) => op("album.hide", { album, person }));

  function skip() {
    later.add(waiting.shift().person);
    draw();
  }

  function giveBack(person, place = 0) {
    given.delete(person.person);
    details.clear();
    waiting.splice(place, 0, person);
    left += 1;
    if (!closed) draw();
  }

  async function undo() {
    await sending;
    const last = answers.pop();
    if (!last) return;
    try {
      await op("album.undo", { album, last: last.event });
      tell({ text: `Undone: ${last.text}`, undo: false });
      giveBack(last.person);
      tellChange(ofAlbum(album));
      context.refresh();
    } catch (error) {
      failed(error);
      if (error.code === "conflict") answers.length = 0; // somebody else has changed something since
    }
  }

  function tell(what) {
    told = what;
    show(shown);
  }

  // While nothing is typed. No name begins with any of these.
  function key(event) {
    const { input } = field;
    const untouched = !input.value || (input.selectionStart === 0 && input.selectionEnd === input.value.length);
    if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey) && !input.value && answers.length) {
      event.preventDefault();
      undo();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const chosen = /^[1-9]$/.test(event.key) && names[Number(event.key) - 1];
    const act =
      event.key === "PageDown"
        ? skip
        : untouched && ({ "?": nobody, "-": hide }[event.key] ?? (chosen && (() => name(chosen.name))));
    if (!act) return;
    event.preventDefault();
    act();
  }

  load();
  return {
    close: () => {
      closed = true;
    },
    stale: (finished) => {
      if (finished && !inUse(container)) load();
    },
    online: load,
  };
}
