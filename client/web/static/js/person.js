// A person of the gallery: their enrolled faces, and all corrections.

import { address, op } from "./api.js";
import { ask, button, byId, el, errorState, plural, redraw, state } from "./dom.js";
import { enrolFiles } from "./enrol.js";
import { Grid, loading, picture } from "./grid.js";
import { failed, notice, whenOnline } from "./shell.js";

let name = new URLSearchParams(location.search).get("name");
let grid = null;
const chosen = new Set();

async function load() {
  if (!grid) loading(byId("grid"), { height: 190 });
  try {
    const page = await op("show", { name, limit: 100 });
    draw(page);
  } catch (error) {
    grid?.close();
    grid = null;
    byId("actions").replaceChildren();
    byId("count").textContent = "";
    byId("grid").replaceChildren(error.code === "unknown_person"
      ? state("people", "Nobody is called that", "They may have been renamed, merged or removed.", el("a", { class: "button primary", href: "/people" }, "All people"))
      : errorState(error, load));
  }
}

function draw({ person, created, templates }) {
  name = person.name;
  byId("name").textContent = name;
  document.title = `${name} · facewire`;
  byId("count").textContent = `${plural(person.templates, "face")} · enrolled ${new Date(created).toLocaleDateString(undefined, { dateStyle: "medium" })}`;
  redraw(byId("actions"),
    button("Add pictures", { name: "plus", kind: "primary", onclick: add }),
    button("Rename", { name: "edit", onclick: rename }),
    button("Merge into …", { name: "merge", onclick: merge }),
    button("Remove", { name: "trash", kind: "danger", onclick: remove }));
  chosen.clear();
  drawSelection();
  grid?.close();
  grid = null;
  if (!person.templates) {
    byId("grid").replaceChildren(state("people", "No face is left", "Nobody will be recognised as this person until you add a picture.", button("Add pictures", { name: "plus", kind: "primary", onclick: add })));
    return;
  }
  grid = new Grid(byId("grid"), {
    label: "Faces", minWidth: 132, cellHeight: (width) => Math.round(width + 54), cell: tile,
    load: async (offset, limit, signal) => (await op("show", { name, offset, limit: Math.min(limit, 100) }, signal)).templates,
  });
  grid.show(person.templates, templates);
}

function tile(template, offset) {
  const box = el("input", { type: "checkbox", class: "pick", "aria-label": `Choose ${template.image}` });
  box.checked = chosen.has(template.id);
  box.addEventListener("change", () => {
    if (box.checked) chosen.add(template.id);
    else chosen.delete(template.id);
    drawSelection();
  });
  const label = template.image.split("/").at(-1);
  return el("div", { class: "pick-cell", style: { height: "100%" } },
    el("label", { class: "tile" },
      el("span", { class: "tile-picture" }, picture(address("/api/crop", { name, offset, template: template.id }))),
      el("span", { class: "tile-text" }, el("strong", { title: template.image }, label), el("span", {}, new Date(template.created).toLocaleDateString())),
      box));
}

function drawSelection() {
  const bar = byId("selection");
  bar.hidden = !chosen.size;
  if (!chosen.size) return;
  bar.replaceChildren(el("strong", {}, `${plural(chosen.size, "face")} chosen`),
    button("Somebody else …", { name: "split", small: true, onclick: split }),
    button("Remove", { name: "trash", kind: "danger", small: true, onclick: removeChosen }),
    button("Choose none", { kind: "quiet", small: true, onclick: () => { chosen.clear(); drawSelection(); byId("grid").querySelectorAll(".pick").forEach((box) => { box.checked = false; }); } }));
}

const otherNames = async () => (await op("people", { limit: 1000 })).people.map((one) => one.name).filter((one) => one !== name);

async function change(make, then = load) {
  try {
    const { event } = await make();
    notice(event.text, { action: "Undo", onclick: () => undo(event) });
    then();
  } catch (error) {
    failed(error);
  }
}

async function undo(event) {
  const before = name;
  try {
    await op("undo", { count: 1, last: event.id });
    notice(`Taken back: ${event.text}`);
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
  const answer = await ask({ title: `Rename ${name}`, fields: [{ name: "to", label: "New name", value: name }], action: "Rename" });
  const to = answer?.to.trim();
  if (!to || to === name) return;
  try {
    const { event, people } = await op("rename", { name, to });
    notice(event.text, { action: "Undo", onclick: () => undo(event) });
    go(people[0]?.name ?? to);
  } catch (error) {
    if (error.code === "exists") mergeInto(to);
    else failed(error);
  }
}

async function merge() {
  try {
    const answer = await ask({ title: `${name} is really …`, text: `All faces of ${name} go to that person. You can take it back.`, fields: [{ name: "into", label: "Name", options: await otherNames() }], action: "Merge" });
    if (answer) change(() => op("merge", { names: [name], into: answer.into.trim() }), () => go(answer.into.trim()));
  } catch (error) {
    failed(error);
  }
}

async function mergeInto(into) {
  const sure = await ask({ title: `There is a ${into} already`, text: `Are ${name} and ${into} one person? Then all faces of ${name} go to ${into}.`, action: "Merge them" });
  if (sure) change(() => op("merge", { names: [name], into }), () => go(into));
}

async function split() {
  try {
    const answer = await ask({ title: `Whose ${chosen.size === 1 ? "face is this" : "faces are these"}?`, text: "Somebody enrolled, or a new name.", fields: [{ name: "to", label: "Name", options: await otherNames() }], action: "Move" });
    if (answer) change(() => op("split", { name, templates: [...chosen], to: answer.to.trim() }));
  } catch (error) {
    failed(error);
  }
}

const removeChosen = () => change(() => op("remove", { name, templates: [...chosen] }));

async function remove() {
  const answer = await ask({ title: `Remove ${name}?`, text: "Nobody is recognised as this person any more. You can take it back. To erase everything that is kept of them for good, type the name below.", fields: [{ name: "erase", label: "Erase for good: type the name", optional: true }], action: "Remove", danger: true });
  if (!answer) return;
  if (answer.erase.trim() === name) {
    try {
      const erased = await op("erase", { name });
      notice(`Erased: ${plural(erased.templates, "face")}, ${plural(erased.images, "picture")}. ${erased.note}`);
      location.assign("/people");
    } catch (error) {
      failed(error);
    }
    return;
  }
  change(() => op("remove", { name }));
}

async function add() {
  const answer = await ask({ title: `More pictures of ${name}`, text: "One face in each picture works best.", fields: [{ name: "pictures", label: "Pictures", pictures: true }], action: "Enrol" });
  if (!answer) return;
  await enrolFiles(name, answer.pictures, load);
}

whenOnline(load);
