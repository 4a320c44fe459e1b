// @ts-check
// People: everybody enrolled, searchable by name; recent changes and undo.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { address, may, op } from "./api.js";
import { GALLERY, inUse, tellChange, whenChangedElsewhere } from "./changes.js";
import { ask } from "./dialogs.js";
import { mergeable } from "./drag.js";
import { enrolFiles } from "./enrol.js";
import { Grid } from "./grid.js";
import { brought, takeOver } from "./page_answers.js";
import { failed, notice, whenOnline } from "./shell.js";
import { button, byId, errorState, icon, loading, picture, render, say, state } from "./view.js";
import { isolated, isolating, moment, named, plural, said } from "./words.js";

const SHOWN_CHANGES = 30;
let contains = "";
const cells = document.createElement("div"); // the grid's own
let grid = null;
let asked = 0;
let drawn = ""; // the first page of people, as JSON

// `again`: only what has changed since is drawn, so that nothing moves under somebody who reads.
async function load({ again = false } = {}) {
  const mine = ++asked;
  if (!grid && !again) show(loading(byId("grid")));
  try {
    const page = await op("people", { limit: 100, contains });
    if (mine !== asked || (again && drawn === JSON.stringify(page))) return;
    drawn = JSON.stringify(page);
    draw(page);
  } catch (error) {
    if (mine !== asked || again) return; // the banner says so
    drawn = "";
    show(errorState(error, load));
  }
  if (may("manage")) loadChanges();
}

// Instead of the grid, unless it is its cells.
function show(content) {
  grid?.close();
  grid = null;
  render(content, byId("grid"));
}

function draw({ people, total }) {
  const count = plural(total, "person", "people");
  say(byId("count"), contains ? `${count} with “${contains}” in the name` : count);
  show(total ? cells : contains ? nobodyLike() : nobody());
  if (!total) return;
  grid = new Grid(cells, {
    label: "People",
    minWidth: 148,
    cellHeight: (width) => Math.round(width + 60),
    cell: tile,
    load: async (offset, limit, signal) => (await op("people", { offset, limit, contains }, signal)).people,
  });
  grid.show(total, people);
}

function nobodyLike() {
  const everybody = () => {
    byId("search").value = "";
    search("");
  };
  const action = button("Show everybody", { onclick: everybody });
  return state("search", "Nobody by that name", "Try fewer letters.", action);
}

const nobody = () =>
  state(
    "people",
    "Nobody is enrolled yet",
    "Enrol somebody with a picture, say who a face is in Identify, " +
      "or build a gallery from a folder: python scripts/create_db.py FOLDER",
    may("enrol") ? button("Enrol somebody", { name: "plus", kind: "primary", onclick: enrol }) : null,
  );

function tile({ name, templates, first }) {
  const href = address("/person", { name });
  const content = html`<span class="tile-picture">
      ${first ? picture(address("/api/crop", { name, template: first })) : icon("people")}
    </span>
    <span class="tile-text"><strong>${named(name)}</strong><span>${plural(templates, "face")}</span></span>`;
  return may("manage") ? mergeable(href, content, name, merge) : html`<a class="tile" href=${href}>${content}</a>`;
}

async function merge(name, into) {
  const sure = await ask({
    title: `Are ${isolated(name)} and ${isolated(into)} the same person?`,
    text: said`All faces of ${name} go to ${into}. You can undo this.`,
    action: "Merge them",
  });
  if (!sure) return;
  change(() => op("merge", { names: [name], into }));
}

async function change(make) {
  try {
    const { event } = await make();
    notice(`${inWords(event)}.`.replace("..", "."), { action: "Undo", onclick: () => undo(event.id) });
    tellChange(GALLERY);
  } catch (error) {
    failed(error);
  }
  load();
}

async function undo(last) {
  try {
    const { undone } = await op("undo", { count: 1, last });
    notice(`Undone: ${undone.map(inWords).join(", ")}`);
    tellChange(GALLERY);
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
    undoButton.title = last ? `Undo: ${inWords(last)}` : "";
    const lines = events.map(line);
    render(lines.length ? lines : html`<li>Nothing has been changed yet.</li>`, byId("changes"));
  } catch (error) {
    byId("undo").disabled = true;
    render(html`<li>${error.message}</li>`, byId("changes"));
  }
}

const line = (event) =>
  html`<li data-undone=${event.undone ? "" : nothing}>
    ${inWords(event)}<time datetime=${event.at}>${moment(event.at)}</time>
  </li>`;

const inWords = (event) => isolating(event.text, event.names);

async function enrol() {
  const answer = await ask({
    title: "Enrol somebody",
    text: "One face in each picture works best.",
    fields: [
      { name: "name", label: "Name" },
      { name: "pictures", label: "Pictures", pictures: true },
    ],
    action: "Enrol",
  });
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
byId("add")?.addEventListener("click", enrol);
whenChangedElsewhere(() => {
  if (!inUse(byId("grid"))) load({ again: true });
});
if (brought) takeOver(byId("grid"), () => whenOnline(load));
else whenOnline(load);
