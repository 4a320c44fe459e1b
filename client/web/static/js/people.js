// People: everybody enrolled, searchable by name; recent changes and undo.

import { address, op } from "./api.js";
import { ask, button, byId, el, errorState, icon, plural, state } from "./dom.js";
import { mergeable } from "./drag.js";
import { enrolFiles } from "./enrol.js";
import { Grid, loading, picture } from "./grid.js";
import { failed, notice, whenOnline } from "./shell.js";

const SHOWN_CHANGES = 30;
let contains = "";
let grid = null;
let asked = 0;

async function load() {
  const mine = ++asked;
  if (!grid) loading(byId("grid"));
  try {
    const page = await op("people", { limit: 100, contains });
    if (mine === asked) draw(page);
  } catch (error) {
    if (mine !== asked) return;
    grid?.close();
    grid = null;
    byId("grid").replaceChildren(errorState(error, load));
  }
  loadChanges();
}

function draw({ people, total }) {
  byId("count").textContent = contains ? `${plural(total, "person", "people")} with “${contains}” in the name` : plural(total, "person", "people");
  grid?.close();
  if (!total) {
    grid = null;
    byId("grid").replaceChildren(contains
      ? state("search", "Nobody by that name", "Try fewer letters.", button("Show everybody", { onclick: () => { byId("search").value = ""; search(""); } }))
      : state("people", "Nobody is enrolled yet", "Enrol somebody with a picture, say who a face is in Identify, or build a gallery from a folder: python scripts/create_db.py FOLDER",
        button("Enrol somebody", { name: "plus", kind: "primary", onclick: enrol })));
    return;
  }
  grid = new Grid(byId("grid"), {
    label: "People", minWidth: 148, cellHeight: (width) => Math.round(width + 60), cell: tile,
    load: async (offset, limit, signal) => (await op("people", { offset, limit, contains }, signal)).people,
  });
  grid.show(total, people);
}

function tile(person) {
  const link = el("a", { class: "tile", href: address("/person", { name: person.name }) },
    el("span", { class: "tile-picture" }, person.templates ? picture(address("/api/crop", { name: person.name, v: person.templates })) : icon("people")),
    el("span", { class: "tile-text" }, el("strong", {}, person.name), el("span", {}, plural(person.templates, "face"))));
  return mergeable(link, person.name, merge);
}

async function merge(name, into) {
  const sure = await ask({ title: `Are ${name} and ${into} one person?`, text: `All faces of ${name} go to ${into}. You can take it back.`, action: "Merge them" });
  if (!sure) return;
  change(() => op("merge", { names: [name], into }));
}

async function change(make) {
  try {
    const { event } = await make();
    notice(`${event.text}.`.replace("..", "."), { action: "Undo", onclick: () => undo(event.id) });
  } catch (error) {
    failed(error);
  }
  load();
}

async function undo(last) {
  try {
    const { undone } = await op("undo", { count: 1, last });
    notice(`Taken back: ${undone.map((event) => event.text).join(", ")}`);
  } catch (error) {
    failed(error);
  }
  load();
}

async function loadChanges() {
  try {
    const { events } = await op("history", { limit: SHOWN_CHANGES });
    // Builds by create_db can't be undone by a click: that is for whoever manages the folder.
    const next = events.find((event) => event.undoable && !event.undone);
    const last = next?.op === "build" ? null : next;
    const undoButton = byId("undo");
    undoButton.disabled = !last;
    undoButton.onclick = last ? () => undo(last.id) : null;
    undoButton.title = last ? `Take back: ${last.text}` : "";
    byId("changes").replaceChildren(...(events.length ? events.map((event) =>
      el("li", { data: event.undone ? { undone: "" } : {} }, event.text, el("time", { datetime: event.at }, when(event.at))))
      : [el("li", {}, "Nothing has been changed yet.")]));
  } catch (error) {
    byId("undo").disabled = true;
    byId("changes").replaceChildren(el("li", {}, error.message));
  }
}

const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const when = (at) => format.format(new Date(at));

async function enrol() {
  const answer = await ask({ title: "Enrol somebody", text: "One face in each picture works best.", fields: [{ name: "name", label: "Name" }, { name: "pictures", label: "Pictures", pictures: true }], action: "Enrol" });
  const name = answer?.name.trim();
  if (!name) return;
  await enrolFiles(name, answer.pictures, load);
}

let typing;

function search(words) {
  contains = words.trim();
  load();
}

byId("search").addEventListener("input", (event) => {
  clearTimeout(typing);
  typing = setTimeout(() => search(event.target.value), 150);
});
byId("add").addEventListener("click", enrol);
whenOnline(load);
