// @ts-check
// The people of an album: a grid of their best faces, and a page for each person.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { address, changesAlbums, everything, may, op } from "./api.js";
import { inUse } from "./changes.js";
import { ask } from "./dialogs.js";
import { mergeable } from "./drag.js";
import { Grid } from "./grid.js";
import { later } from "./later.js";
import { photoGrid } from "./album_photos.js";
import { nameField } from "./name_field.js";
import { nameTile } from "./name_here.js";
import { Selection } from "./selection.js";
import { failed, notice } from "./shell.js";
import { button, errorState, loading, picture, render, state } from "./view.js";
import { isolated, listed, named, plural, whole } from "./words.js";

const enrolling = later(() => import("./enrol.js"));
const taking = later(() => import("./album_names.js"));
const picking = later(() => import("./album_pick.js"));

export const faceAddress = (album, face, size = 320) => address("/api/album/face", { album, face, size });

export const called = (person) =>
  person.name ? isolated(person.name) : person.stranger ? "Nobody you know" : "Not named yet";

const ORDERS = { faces: "Named first", name: "By name", photos: "Most photos first", seen: "Last seen first" };
const FEW = 12; // people who are in one photo each: to fold fewer away hides more than it tidies
let order = "faces"; // as long as the page is open

export function showPeople(container, context) {
  const { album } = context;
  let grid = null;
  let hidden = false;
  let unfolded = false;
  let selection = null;
  let known = []; // whom the gallery knows
  let once = 0; // people who are in one photo
  let total = 0;
  let closed = false;
  const room = document.createElement("div"); // the grid's own

  async function load() {
    if (!grid) render(loading(room), room);
    try {
      const [one, matches] = await Promise.all([
        op("album.people", { album, hidden, once: "only", limit: 1 }),
        recognised(),
      ]);
      const which = { album, hidden, order, once: one.total > FEW && !unfolded ? "without" : "with" };
      const page = await op("album.people", { ...which, limit: 100 });
      if (closed) return;
      [known, once, total] = [matches, one.total, page.total];
      grid?.close();
      grid = selection = null;
      if (total) {
        grid = new Grid(room, {
          label: "People of this album",
          minWidth: 148,
          cellHeight: (width) => Math.round(width + 60),
          cell: tile,
          load: async (offset, limit, signal) => (await op("album.people", { ...which, offset, limit }, signal)).people,
        });
        selection = new Selection(grid, { id: ({ person }) => person, what: ["person", "people"], actions });
      }
      draw();
      if (total) grid.show(total, page.people);
      else render(empty(), room);
    } catch (error) {
      if (closed) return;
      grid?.close();
      grid = selection = null;
      draw();
      render(errorState(error, load), room);
    }
  }

  async function recognised() {
    if (hidden || !may("identify") || !changesAlbums || !context.info.people || context.info.processing) return [];
    return (await op("album.recognise", { album })).matches;
  }

  function draw() {
    const offered = tools().filter(Boolean);
    // Until all photos are there and looked at, these are guesses; what somebody has said of them stays.
    const provisional = total && (context.info.processing || context.arriving);
    render(
      html`<div class="chips" ?hidden=${!offered.length}>${offered}</div>
        ${selection?.bar}
        <p class="sub arriving" role="status" ?hidden=${!provisional}>
          Still looking: these groups are provisional, and may yet be joined or divided. Names that you give stay.
        </p>
        ${room}`,
      container,
    );
  }

  function tools() {
    const { people, hidden: away } = context.info;
    const onclick = () => taking().then(({ takeNames }) => takeNames(context, known), failed);
    const take = { name: "people", small: true, onclick };
    return [
      people > 1 ? orders() : null,
      once > FEW ? chip(`${whole(once)} in one photo each`, unfolded, () => (unfolded = !unfolded)) : null,
      ...(away || hidden
        ? [chip("Shown", !hidden, () => (hidden = false)), chip(`Hidden ${whole(away)}`, hidden, () => (hidden = true))]
        : []),
      known.length ? button(`Take ${plural(known.length, "name")} from the gallery`, take) : null,
    ];
  }

  function chip(label, pressed, change) {
    const onclick = () => {
      change();
      load();
    };
    return html`<button type="button" aria-pressed=${pressed} @click=${onclick}>${label}</button>`;
  }

  function orders() {
    const change = ({ target }) => {
      order = target.value;
      load();
    };
    return html`<select aria-label="Order" @change=${change}>
      ${Object.entries(ORDERS).map(
        ([value, label]) => html`<option value=${value} .selected=${value === order}>${label}</option>`,
      )}
    </select>`;
  }

  // Of the people chosen in the grid.
  function actions(chosen) {
    const people = chosen.map(({ person }) => person);
    const settle = (name, keys) => context.change(() => op(name, { album, ...keys }), { then: load });
    const withNames = chosen.filter((one) => one.name);
    const save = button("Their photos", { name: "download", small: true, onclick: () => context.download({ people }) });
    if (!changesAlbums) return [save];
    return [
      chosen.length > 1
        ? button("Merge", {
            name: "merge",
            small: true,
            onclick: async () => {
              const names = new Set(withNames.map((one) => isolated(one.name)));
              const into = withNames[0] ? isolated(withNames[0].name) : "one person";
              if (
                names.size < 2 ||
                (await ask({
                  title: `Are they all ${into}?`,
                  text: `${listed([...names])} become one person, ${into}. You can undo this.`,
                  action: "Merge them",
                }))
              )
                settle("album.merge", { people: [...new Set([...withNames, ...chosen])].map(({ person }) => person) });
            },
          })
        : null,
      button(hidden ? "Show again" : "Hide", {
        name: "hide",
        small: true,
        onclick: () => settle("album.hide", { people, hidden: !hidden }),
      }),
      withNames.length
        ? null
        : button("Nobody I know", {
            name: "question",
            small: true,
            onclick: () => settle("album.stranger", { people, stranger: true }),
          }),
      save,
    ].filter(Boolean);
  }

  function empty() {
    const add = changesAlbums
      ? [button("Add photos", { name: "upload", kind: "primary", onclick: context.addFiles })]
      : [];
    if (hidden)
      return state("hide", "Nobody is hidden", "Hide passers-by on their page to keep them out of the way here.");
    if (context.info.hidden) return state("hide", "Everybody is hidden", "Show them again on the chip above.");
    if (context.info.processing || context.info.waiting)
      return state("people", "Nobody yet", "People appear here while the photos are processed.");
    if (context.info.photos)
      return state("people", "No faces in these photos", changesAlbums ? "Add photos that show people." : "", ...add);
    if (!changesAlbums) return state("albums", "This album is empty", "Nobody has added photos yet.");
    return state(
      "albums",
      "This album is empty",
      "Drop photos, a folder with everything below it, or a ZIP anywhere on this page.",
      ...add,
      button("Add a folder", { name: "folder", onclick: context.addFolder }),
    );
  }

  function tile(person) {
    const name = ({ currentTarget }) => nameTile(context, currentTarget.closest(".pick-cell"), person);
    const key = (event) => {
      if (changesAlbums && event.key === "F2") name(event);
    };
    const seen = order === "seen" && person.seen ? `, ${person.seen}` : "";
    const content = html`<span class="tile-picture">${picture(faceAddress(album, person.face))}</span>
      <span class="tile-text">
        <strong class=${person.name ? "" : "unnamed"}>${person.name ? named(person.name) : called(person)}</strong>
        <span>${plural(person.photos, "photo")}${seen}</span>
      </span>`;
    const href = `#/person/${person.person}`;
    return html`<div class="pick-cell" .style=${"height: 100%"} @keydown=${key}>
      ${
        changesAlbums
          ? html`${mergeable(href, content, person, merge)}
            ${button("", {
              name: "edit",
              small: true,
              kind: "quiet name-here",
              "aria-label": `Name: ${called(person)}`,
              title: "Name (F2)",
              onclick: name,
            })}`
          : html`<a class="tile" href=${href}>${content}</a>`
      }
      ${selection.box(person, `Choose ${called(person)}`)}
    </div>`;
  }

  async function merge(one, into) {
    const sure = await ask({
      title: `Are ${called(one)} and ${called(into)} the same person?`,
      text: "You can undo this.",
      action: "Merge them",
    });
    if (sure) context.change(() => op("album.merge", { album, people: [into.person, one.person] }));
  }

  render(room, container);
  load();
  return {
    close: () => {
      closed = true;
      grid?.close();
    },
    stale: () => {
      if (!inUse(container)) load();
    },
    online: load,
  };
}

const GONE = state(
  "people",
  "This person is gone",
  "They may have been merged with somebody, or taken back.",
  html`<a class="button primary" href="#/people">All people of this album</a>`,
);

export function showPerson(container, context, number) {
  const { album } = context;
  let person = null;
  let people = [];
  let faces = null;
  let photos = null;
  let selection = null;
  let field = null; // for their name
  let closed = false;
  const faceRoom = document.createElement("div"); // the grids' own
  const photoRoom = document.createElement("div");

  async function load() {
    if (closed) return;
    if (!faces) {
      draw();
      render(loading(faceRoom, { minWidth: 104, height: 104, count: 6 }), faceRoom);
      render(loading(photoRoom, { height: 150 }), photoRoom);
    }
    try {
      const everyone = (hidden) => everything("album.people", "people", { album, hidden });
      const [shownPeople, hiddenPeople, page] = await Promise.all([
        everyone(false),
        everyone(true),
        op("album.faces", { album, person: number, limit: 100 }),
      ]);
      if (closed) return;
      people = [...shownPeople, ...hiddenPeople];
      person = people.find((one) => one.person === number);
      if (!person) {
        render(GONE, container);
        return;
      }
      const onname = (name) =>
        context.change(() => op("album.label", { album, person: number, name }), { then: afterLabel(name) });
      field = nameField(album, { label: "Name", value: person.name ?? "", optional: true, onname });
      faces?.close();
      faces = new Grid(faceRoom, {
        label: "Faces",
        minWidth: 104,
        gap: 12,
        cellHeight: (width) => Math.round(width),
        cell: tile,
        load: async (offset, limit, signal) =>
          (await op("album.faces", { album, person: number, offset, limit }, signal)).faces,
      });
      if (changesAlbums) selection = new Selection(faces, { id: ({ face }) => face, what: ["face", "faces"], actions });
      draw();
      faces.show(page.total, page.faces);
      photos?.close();
      photos = photoGrid(photoRoom, context, { person: number }, { byDay: true });
    } catch (error) {
      if (closed) return;
      faces?.close();
      faces = null;
      render(errorState(error, load), container);
    }
  }

  function draw() {
    render(
      html`${person ? head() : nothing}
        <div class="selection-room">${selection?.bar}</div>
        <h2 class="section-title">Faces</h2>
        ${faceRoom}
        <h2 class="section-title">Photos</h2>
        ${photoRoom}`,
      container,
    );
  }

  const head = () =>
    html`<div class="person-head">
      ${picture(faceAddress(album, person.face))}
      <div>
        ${changesAlbums ? form() : html`<h2>${person.name ? named(person.name) : called(person)}</h2>`}
        <p class="sub">${plural(person.faces, "face")} in ${plural(person.photos, "photo")}</p>
        <div class="row">${tools()}</div>
      </div>
    </div>`;

  function form() {
    const submit = (event) => {
      event.preventDefault();
      field.take();
    };
    return html`<form @submit=${submit}>
      ${field.element}
      <button class="button primary" type="submit">${person.name ? "Rename" : "Name"}</button>
    </form>`;
  }

  function tools() {
    const small = (name, label, onclick) => button(label, { name, small: true, onclick });
    const set = (name, keys) => context.change(() => op(name, { album, ...keys }));
    const { hidden, stranger } = person;
    const save = small("download", "Their photos", () => context.download({ people: [number] }));
    if (!changesAlbums) return save;
    return [
      small("merge", "Merge with …", merge),
      save,
      small("hide", hidden ? "Show again" : "Hide", () => set("album.hide", { person: number, hidden: !hidden })),
      person.name
        ? nothing
        : small("question", stranger ? "Somebody I know" : "Nobody I know", () =>
            set("album.stranger", { people: [number], stranger: !stranger }),
          ),
      person.name && may("enrol") ? small("people", "Enrol in the gallery", enrol) : nothing,
    ];
  }

  // Using another person's name merges the two, and then the person of this page may no longer exist.
  const afterLabel = (name) => () => {
    if (people.some((one) => one.person !== number && one.name === name)) location.hash = "#/people";
    else load();
  };

  function tile(face) {
    const content = html`<span class="tile-picture">${picture(faceAddress(album, face.face, 240))}</span>`;
    return html`<div class="pick-cell" .style=${"height: 100%"}>
      ${
        changesAlbums
          ? html`<label class="tile photo-tile">${content} ${selection.box(face, "Choose this face")}</label>`
          : html`<div class="tile photo-tile">${content}</div>`
      }
    </div>`;
  }

  const actions = () => [
    button(person.name ? `Not ${isolated(person.name)}` : "Not this person", {
      name: "close",
      small: true,
      onclick: () => settle("album.not", { faces: chosen(), person: number }),
    }),
    button("Somebody else …", { name: "split", small: true, onclick: split }),
  ];

  const chosen = () => selection.items.map(({ face }) => face);
  const settle = (name, keys) => context.change(() => op(name, { album, ...keys }));

  async function split() {
    const answer = await ask({
      title: "Who is it?",
      text: "Somebody of this album, a new name, or nothing for somebody not named yet.",
      fields: [
        {
          name: "name",
          label: "Name",
          optional: true,
          options: people.filter((one) => one.name && one !== person).map((one) => one.name),
        },
      ],
      action: "Move",
    });
    if (!answer) return;
    const name = answer.name.trim();
    const other = people.find((one) => name && one.name === name && one !== person);
    if (other) settle("album.move", { faces: chosen(), person: other.person });
    else settle("album.split", { person: number, faces: chosen(), name });
  }

  async function merge() {
    const others = people.filter((one) => one !== person);
    if (!others.length) {
      notice("There is nobody else in this album.");
      return;
    }
    const question = {
      title: `${called(person)}: who is it really?`,
      text: "You can undo this.",
      action: "Merge",
      face: (one) => faceAddress(album, one.face, 160),
    };
    const other = await picking().then(({ pickPerson }) => pickPerson(others, question), failed);
    if (other)
      context.change(() => op("album.merge", { album, people: [other.person, number] }), {
        then: () => {
          location.hash = `#/person/${other.person}`;
        },
      });
  }

  async function enrol() {
    try {
      await (await enrolling()).enrolFromAlbum(album, number);
    } catch (error) {
      failed(error);
    }
  }

  load();
  return {
    close: () => {
      closed = true;
      faces?.close();
      photos?.close();
    },
    renamed: load,
    stale: (finished) => {
      if (finished && !inUse(container)) load();
    },
  };
}
