// @ts-check
// A person of the gallery: their enrolled faces, and all corrections.

import { html } from "../vendor/lit-html/lit-html.js";
import { address, may, op } from "./api.js";
import { GALLERY, inUse, tellChange, whenChangedElsewhere } from "./changes.js";
import { ask } from "./dialogs.js";
import { enrolFiles } from "./enrol.js";
import { Grid } from "./grid.js";
import { failed, notice, whenOnline } from "./shell.js";
import { button, byId, errorState, loading, picture, render, state } from "./view.js";
import { day, isolated, isolating, named, plural, said } from "./words.js";

let name = new URLSearchParams(location.search).get("name");
const cells = document.createElement("div"); // the grid's own
let grid = null;
let drawn = ""; // the first page of faces, as JSON
const chosen = new Set();

// `again`: only what has changed since is drawn, so that nothing moves under somebody who reads.
async function load({ again = false } = {}) {
  if (!grid && !again) show(loading(byId("grid"), { height: 190 }));
  try {
    const page = await op("show", { name, limit: 100 });
    if (again && drawn === JSON.stringify(page)) return;
    drawn = JSON.stringify(page);
    draw(page);
  } catch (error) {
    if (again && error.code !== "unknown_person") return; // the banner says so
    drawn = "";
    render(null, byId("actions"));
    render(null, byId("count"));
    show(error.code === "unknown_person" ? NOBODY : errorState(error, load));
  }
}

const NOBODY = state(
  "people",
  "Nobody has that name",
  "They may have been renamed, merged or removed.",
  html`<a class="button primary" href="/people">All people</a>`,
);
const addPictures = () => button("Add pictures", { name: "plus", kind: "primary", onclick: add });

// Instead of the grid, unless it is its cells.
function show(content) {
  grid?.close();
  grid = null;
  render(content, byId("grid"));
}

function draw({ person, created, templates }) {
  name = person.name;
  render(named(name), byId("name"));
  document.title = `${name} · facewire`;
  render(`${plural(person.templates, "face")} · enrolled ${day(created)}`, byId("count"));
  render(actions(), byId("actions"));
  chosen.clear();
  drawSelection();
  const none = "This person won't be recognised until you add a picture.";
  show(person.templates ? cells : state("people", "No faces left", none, may("enrol") ? addPictures() : null));
  if (!person.templates) return;
  grid = new Grid(cells, {
    label: "Faces",
    minWidth: 132,
    cellHeight: (width) => Math.round(width + 54),
    cell: tile,
    load: async (offset, limit, signal) =>
      (await op("show", { name, offset, limit: Math.min(limit, 100) }, signal)).templates,
  });
  grid.show(person.templates, templates);
}

const actions = () => [
  may("enrol") ? addPictures() : null,
  may("manage")
    ? [
        button("Rename", { name: "edit", onclick: rename }),
        button("Merge into …", { name: "merge", onclick: merge }),
        button("Remove", { name: "trash", kind: "danger", onclick: remove }),
      ]
    : null,
];

function tile({ id, image, created }) {
  const choose = ({ target }) => {
    if (target.checked) chosen.add(id);
    else chosen.delete(id);
    drawSelection();
  };
  return html`<div class="pick-cell" .style=${"height: 100%"}>
    <label class="tile">
      <span class="tile-picture">${picture(address("/api/crop", { name, template: id }))}</span>
      <span class="tile-text">
        <strong title=${image}>${named(image.split("/").at(-1))}</strong><span>${day(created)}</span>
      </span>
      <input
        type="checkbox"
        class="pick"
        aria-label=${`Choose ${isolated(image)}`}
        ?hidden=${!may("manage")}
        .checked=${chosen.has(id)}
        @change=${choose}
      />
    </label>
  </div>`;
}

function drawSelection() {
  const bar = byId("selection");
  bar.hidden = !chosen.size;
  if (!chosen.size) return;
  render(
    html`<strong>${plural(chosen.size, "face")} chosen</strong>
      ${button("Somebody else …", { name: "split", small: true, onclick: split })}
      ${button("Remove", { name: "trash", kind: "danger", small: true, onclick: removeChosen })}
      ${button("Clear the selection", { kind: "quiet", small: true, onclick: clearSelection })}`,
    bar,
  );
}

function clearSelection() {
  chosen.clear();
  drawSelection();
  byId("grid")
    .querySelectorAll(".pick")
    .forEach((box) => {
      box.checked = false;
    });
}

const otherNames = async () =>
  (await op("people", { limit: 1000 })).people.map((one) => one.name).filter((one) => one !== name);

/** @param {() => Promise<any>} make @param {() => unknown} [then] */
async function change(make, then = () => load()) {
  try {
    const { event } = await make();
    tellDone(event);
    then();
  } catch (error) {
    failed(error);
  }
}

function tellDone(event) {
  notice(isolating(event.text, event.names), { action: "Undo", onclick: () => undo(event) });
  tellChange(GALLERY);
}

async function undo(event) {
  const before = name;
  try {
    await op("undo", { count: 1, last: event.id });
    notice(`Undone: ${isolating(event.text, event.names)}`);
    tellChange(GALLERY);
  } catch (error) {
    failed(error);
  }
  if (event.op === "rename" && event.names.includes(before)) name = event.names.find((one) => one !== before) ?? before;
  go(name);
}

function go(to) {
  name = to;
  history.replaceState(null, "", address("/person", { name }));
  load();
}

async function rename() {
  const answer = await ask({
    title: `Rename ${isolated(name)}`,
    fields: [{ name: "to", label: "New name", value: name }],
    action: "Rename",
  });
  const to = answer?.to.trim();
  if (!to || to === name) return;
  try {
    const { event, people } = await op("rename", { name, to });
    tellDone(event);
    go(people[0]?.name ?? to);
  } catch (error) {
    if (error.code === "exists") mergeInto(to);
    else failed(error);
  }
}

async function merge() {
  try {
    const answer = await ask({
      title: `${isolated(name)} is actually …`,
      text: said`All faces of ${name} go to that person. You can undo this.`,
      fields: [{ name: "into", label: "Name", options: await otherNames() }],
      action: "Merge",
    });
    if (answer)
      change(
        () => op("merge", { names: [name], into: answer.into.trim() }),
        () => go(answer.into.trim()),
      );
  } catch (error) {
    failed(error);
  }
}

async function mergeInto(into) {
  const sure = await ask({
    title: `There is a ${isolated(into)} already`,
    text: said`Are ${name} and ${into} the same person? Then all faces of ${name} go to ${into}.`,
    action: "Merge them",
  });
  if (sure)
    change(
      () => op("merge", { names: [name], into }),
      () => go(into),
    );
}

async function split() {
  try {
    const answer = await ask({
      title: `Whose ${chosen.size === 1 ? "face is this" : "faces are these"}?`,
      text: "Somebody enrolled, or a new name.",
      fields: [{ name: "to", label: "Name", options: await otherNames() }],
      action: "Move",
    });
    if (answer) change(() => op("split", { name, templates: [...chosen], to: answer.to.trim() }));
  } catch (error) {
    failed(error);
  }
}

const removeChosen = () => change(() => op("remove", { name, templates: [...chosen] }));

async function remove() {
  const answer = await ask({
    title: `Remove ${isolated(name)}?`,
    text:
      "This person will no longer be recognised. You can undo this. " +
      "To erase everything kept about them permanently, type the name below.",
    fields: [{ name: "erase", label: "Erase for good: type the name", optional: true }],
    action: "Remove",
    danger: true,
  });
  if (!answer) return;
  if (answer.erase.trim() === name) {
    try {
      const erased = await op("erase", { name });
      notice(`Erased: ${plural(erased.templates, "face")}, ${plural(erased.images, "picture")}. ${erased.note}`);
      tellChange(GALLERY);
      location.assign("/people");
    } catch (error) {
      failed(error);
    }
    return;
  }
  change(() => op("remove", { name }));
}

async function add() {
  const answer = await ask({
    title: `More pictures of ${isolated(name)}`,
    text: "One face in each picture works best.",
    fields: [{ name: "pictures", label: "Pictures", pictures: true }],
    action: "Enrol",
  });
  if (!answer) return;
  await enrolFiles(name, answer.pictures, load);
}

whenChangedElsewhere(() => {
  if (!inUse(byId("grid"))) load({ again: true });
});
whenOnline(load);
