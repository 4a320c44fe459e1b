// The people of an album: a grid of their best faces, and a page for each person.

import { address, everything, op } from "./api.js";
import { ask, button, el, errorState, plural, redraw, state } from "./dom.js";
import { mergeable } from "./drag.js";
import { enrolFromAlbum } from "./enrol.js";
import { Grid, loading, picture } from "./grid.js";
import { photoGrid } from "./album_photos.js";
import { pickPerson } from "./album_pick.js";
import { failed, notice } from "./shell.js";

export const faceAddress = (album, face, size = 320) => address("/api/album/face", { album, face, size });

export const called = (person) => person.name ?? "Not named yet";

export function showPeople(container, context) {
  const { album } = context;
  let grid = null;
  let hidden = false;
  const toolbar = el("div", { class: "chips" });
  const room = el("div", {});
  container.replaceChildren(toolbar, room);

  async function load() {
    if (!grid) loading(room);
    try {
      const [{ people, total }, known] = await Promise.all([op("album.people", { album, hidden, limit: 100 }), recognised()]);
      drawToolbar(known);
      grid?.close();
      grid = null;
      if (!total) {
        room.replaceChildren(empty());
        return;
      }
      grid = new Grid(room, {
        label: "People of this album", minWidth: 148, cellHeight: (width) => Math.round(width + 60), cell: tile,
        load: async (offset, limit, signal) => (await op("album.people", { album, hidden, offset, limit }, signal)).people,
      });
      grid.show(total, people);
    } catch (error) {
      room.replaceChildren(errorState(error, load));
    }
  }

  async function recognised() {
    if (hidden || !context.info.people || context.info.processing) return [];
    return (await op("album.recognise", { album })).matches;
  }

  function drawToolbar(known) {
    const chip = (label, pressed, onclick) => el("button", { type: "button", "aria-pressed": String(pressed), on: { click: onclick } }, label);
    const turn = (to) => { hidden = to; load(); };
    toolbar.replaceChildren();
    if (context.info.hidden || hidden) toolbar.append(chip("Shown", !hidden, () => turn(false)), chip(`Hidden ${context.info.hidden}`, hidden, () => turn(true)));
    if (known.length) {
      toolbar.append(button(`Take ${plural(known.length, "name")} from the gallery`, { name: "people", small: true, title: known.slice(0, 8).map((one) => one.name).join(", "), onclick: applyNames }));
    }
    toolbar.hidden = !toolbar.firstChild;
  }

  async function applyNames() {
    try {
      const { matches } = await op("album.recognise", { album, apply: true });
      notice(`Named: ${matches.map((one) => one.name).join(", ")}`);
    } catch (error) {
      failed(error);
    }
    load();
  }

  function empty() {
    if (hidden) return state("hide", "Nobody is hidden", "Hide passers-by on their page, and they are out of the way here.");
    if (context.info.processing || context.info.waiting) return state("people", "Nobody yet", "People show up here while the photos are looked at.");
    if (context.info.photos) return state("people", "No faces in these photos", "Add photos that show people.", button("Add photos", { name: "upload", kind: "primary", onclick: context.addFiles }));
    return state("albums", "This album is empty", "Drop photos, a folder with everything below it, or a ZIP anywhere on this page.",
      button("Add photos", { name: "upload", kind: "primary", onclick: context.addFiles }), button("Add a folder", { name: "folder", onclick: context.addFolder }));
  }

  function tile(person) {
    const link = el("a", { class: "tile", href: `#/person/${person.person}` },
      el("span", { class: "tile-picture" }, picture(faceAddress(album, person.face))),
      el("span", { class: "tile-text" }, el("strong", { class: person.name ? "" : "unnamed" }, called(person)), el("span", {}, plural(person.photos, "photo"))));
    return mergeable(link, person, (one, into) => merge(one, into));
  }

  async function merge(one, into) {
    const sure = await ask({ title: `Are ${called(one)} and ${called(into)} one person?`, text: "You can take it back.", action: "Merge them" });
    if (sure) context.change(() => op("album.merge", { album, people: [into.person, one.person] }));
  }

  load();
  return { close: () => grid?.close(), stale: load };
}

export function showPerson(container, context, number) {
  const { album } = context;
  let person = null;
  let people = [];
  let faces = null;
  let photos = null;
  const chosen = new Set();
  const head = el("div", {});
  const selection = el("div", { class: "selection", role: "toolbar", "aria-label": "Of the chosen faces", hidden: true });
  const faceRoom = el("div", {});
  const photoRoom = el("div", {});
  const parts = [head, selection, el("h2", { class: "section-title" }, "Faces"), faceRoom, el("h2", { class: "section-title" }, "Photos"), photoRoom];

  async function load() {
    if (!faces) {
      container.replaceChildren(...parts);
      loading(faceRoom, { minWidth: 104, height: 104, count: 6 });
      loading(photoRoom, { height: 150 });
    }
    try {
      const everyone = (hidden) => everything("album.people", "people", { album, hidden });
      const [shownPeople, hiddenPeople, page] = await Promise.all([everyone(false), everyone(true), op("album.faces", { album, person: number, limit: 100 })]);
      people = [...shownPeople, ...hiddenPeople];
      person = people.find((one) => one.person === number);
      if (!person) {
        container.replaceChildren(state("people", "This person is gone", "They may have been merged with somebody, or taken back.", el("a", { class: "button primary", href: "#/people" }, "All people of this album")));
        return;
      }
      drawHead();
      faces?.close();
      faces = new Grid(faceRoom, {
        label: "Faces", minWidth: 104, gap: 12, cellHeight: (width) => Math.round(width), cell: tile,
        load: async (offset, limit, signal) => (await op("album.faces", { album, person: number, offset, limit }, signal)).faces,
      });
      faces.show(page.total, page.faces);
      photos?.close();
      photos = photoGrid(photoRoom, context, { person: number });
    } catch (error) {
      faces?.close();
      faces = null;
      container.replaceChildren(errorState(error, load));
    }
  }

  function drawHead() {
    const input = el("input", { name: "name", value: person.name ?? "", maxlength: 200, autocomplete: "off", placeholder: "Who is this?", list: "album-names" });
    const form = el("form", {}, el("label", { class: "field" }, el("span", {}, "Name"), input), el("button", { class: "button primary", type: "submit" }, person.name ? "Rename" : "Name"),
      el("datalist", { id: "album-names" }, people.filter((one) => one.name && one !== person).map((one) => el("option", { value: one.name }))));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const name = input.value.trim();
      context.change(() => op("album.label", { album, person: number, name }), { then: afterLabel(name) });
    });
    const actions = [
      button("Merge with …", { name: "merge", small: true, onclick: merge }),
      button("Their photos", { name: "download", small: true, onclick: () => context.download({ people: [number] }) }),
      button(person.hidden ? "Show again" : "Hide", { name: "hide", small: true, onclick: () => context.change(() => op("album.hide", { album, person: number, hidden: !person.hidden })) }),
      person.name ? button("Enrol in the gallery", { name: "people", small: true, onclick: enrol }) : null,
    ];
    redraw(head, el("div", { class: "person-head" }, picture(faceAddress(album, person.face), ""),
      el("div", {}, form, el("p", { class: "sub" }, `${plural(person.faces, "face")} in ${plural(person.photos, "photo")}`), el("div", { class: "row" }, actions))));
  }

  // Using another person's name merges the two, and then the person of this page may no longer exist.
  const afterLabel = (name) => () => {
    if (people.some((one) => one.person !== number && one.name === name)) location.hash = "#/people";
    else load();
  };

  function tile(face) {
    const box = el("input", { type: "checkbox", class: "pick", "aria-label": "Choose this face" });
    box.checked = chosen.has(face.face);
    box.addEventListener("change", () => {
      if (box.checked) chosen.add(face.face);
      else chosen.delete(face.face);
      drawSelection();
    });
    return el("div", { class: "pick-cell", style: { height: "100%" } }, el("label", { class: "tile photo-tile" },
      el("span", { class: "tile-picture" }, picture(faceAddress(album, face.face, 240))), box));
  }

  function drawSelection() {
    selection.hidden = !chosen.size;
    selection.replaceChildren(el("strong", {}, `${plural(chosen.size, "face")} chosen`),
      button(person.name ? `Not ${person.name}` : "Not this person", { name: "close", small: true, onclick: () => settle("album.not", { faces: [...chosen], person: number }) }),
      button("Somebody else …", { name: "split", small: true, onclick: split }));
  }

  const settle = (name, keys) => { chosen.clear(); context.change(() => op(name, { album, ...keys })); };

  async function split() {
    const answer = await ask({ title: "Who is it?", text: "Somebody of this album, a new name, or nothing for somebody not named yet.", fields: [{ name: "name", label: "Name", optional: true, options: people.filter((one) => one.name && one !== person).map((one) => one.name) }], action: "Move" });
    if (!answer) return;
    const name = answer.name.trim();
    const other = people.find((one) => name && one.name === name && one !== person);
    if (other) settle("album.move", { faces: [...chosen], person: other.person });
    else settle("album.split", { person: number, faces: [...chosen], name });
  }

  async function merge() {
    const others = people.filter((one) => one !== person);
    if (!others.length) {
      notice("There is nobody else in this album.");
      return;
    }
    const other = await pickPerson(others, { title: `${called(person)}: who is it really?`, text: "You can take it back.", action: "Merge", face: (one) => faceAddress(album, one.face, 160) });
    if (other) context.change(() => op("album.merge", { album, people: [other.person, number] }), { then: () => { location.hash = `#/person/${other.person}`; } });
  }

  async function enrol() {
    try {
      await enrolFromAlbum(album, number);
    } catch (error) {
      failed(error);
    }
  }

  load();
  return { close: () => { faces?.close(); photos?.close(); }, stale: (finished) => { if (finished) load(); } };
}
