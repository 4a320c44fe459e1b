// An album: its contents, adding photos, work in progress, and its views.

import { address, form, op } from "./api.js";
import { showFind } from "./album_find.js";
import { Imports } from "./album_imports.js";
import { showPeople, showPerson } from "./album_people.js";
import { showPhotos } from "./album_photos.js";
import { showSuggestions } from "./album_suggest.js";
import { processingTask, uploadTasks } from "./album_work.js";
import { ask, button, byId, el, errorState, megabytes, plural, redraw } from "./dom.js";
import { whenDropped } from "./drag.js";
import { chosen, dropped } from "./dropped.js";
import { acceptPictures, formatNames, leftOut } from "./formats.js";
import { loading } from "./grid.js";
import { failed, notice } from "./shell.js";
import { add as upload, endings, follow as followUploads, prepare, uploads, whileRenaming } from "./uploading.js";

const LOOK_MS = 1000;
let album = new URLSearchParams(location.search).get("album");
let info = null;
let shown = null;           // the current view: {close?, stale?(finished), online?}
let timer;
const imports = new Imports(() => album, { ondraw: () => drawWork(), onallowed: () => { if (info) drawHead(); }, onend: () => load() });

const TABS = [
  { key: "people", label: "People", count: () => info.people, show: showPeople },
  { key: "photos", label: "Photos", count: () => info.photos, show: showPhotos },
  { key: "find", label: "Find somebody", show: showFind },
  { key: "suggestions", label: "Same person?", show: showSuggestions },
];

// Passed to the views: the album's name and state, and functions that change it.
const context = {
  get album() { return album; },
  get info() { return info; },
  change, download, addFiles: () => byId("choose-files").click(), addFolder: () => byId("choose-folder").click(), dropHere,
};

// ---------------------------------------------------------------------------------------------- state

let renaming = false;

async function load({ view = true } = {}) {
  clearTimeout(timer);
  const asked = album;
  try {
    info = await op("album.status", { album });
  } catch (error) {
    if (renaming || asked !== album) return;  // it was renamed meanwhile, and is loaded under its new name
    const away = error.code === "offline" || error.code === "gateway";
    if (away && shown) return;  // the banner says so; keep the current view
    shown?.close?.();
    shown = null;
    byId("view").replaceChildren(errorState(error, load));
    byId("tabs").replaceChildren();
    byId("actions").replaceChildren();
    return;
  }
  drawHead();
  drawWork();
  if (view || !shown) route();
  if (info.processing) timer = setTimeout(follow, LOOK_MS);
}

async function follow() {
  const before = info;
  await load({ view: false });
  const finished = before.processing && !info.processing;
  if (finished) notice(`Done: ${plural(info.people, "person", "people")} in ${plural(info.photos, "photo")}.`);
  if (finished || before.people !== info.people) shown?.stale?.(finished);
}

function drawHead() {
  byId("name").textContent = info.album;
  document.title = `${info.album} · facewire`;
  const unread = info.unreadable ? `, ${info.unreadable} unreadable` : "";
  byId("count").textContent = `${plural(info.photos, "photo")} · ${megabytes(info.size_bytes)} · ${plural(info.faces, "face")} of ${plural(info.people, "person", "people")}, ${info.named} named${unread}`;
  const undo = button("Undo", { name: "undo", onclick: () => change(() => op("album.undo", { album }), { undoable: false }) });
  undo.disabled = !info.undo;
  undo.title = info.undo ? `Take back: ${info.undo}` : "Nothing to take back";
  redraw(byId("actions"),
    button("Add photos", { name: "upload", kind: "primary", onclick: context.addFiles }),
    button("Add a folder", { name: "folder", onclick: context.addFolder }),
    imports.allowed ? button("From the server", { name: "folder", title: "A folder of the server's own disk", onclick: () => imports.choose() }) : null,
    undo,
    button("", { name: "download", "aria-label": "Download the album as a ZIP", title: "Download the album as a ZIP", onclick: () => download({}) }),
    button("", { name: "edit", "aria-label": "Rename the album", title: "Rename the album", onclick: rename }),
    button("", { name: "trash", kind: "danger", "aria-label": "Delete the album", title: "Delete the album", onclick: remove }));
  drawTabs();
}

function drawTabs() {
  const current = tabOf(location.hash);
  redraw(byId("tabs"), TABS.map(({ key, label, count }) => el("button", {
    type: "button", role: "tab", id: `tab-${key}`, "aria-selected": String(key === current), "aria-controls": "view", tabindex: key === current ? 0 : -1,
    on: { click: () => { location.hash = `#/${key}`; } },
  }, label, count ? el("span", { class: "count" }, count().toLocaleString("en")) : null)));
  byId("view").setAttribute("aria-labelledby", `tab-${current}`);
}

byId("tabs").addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!by) return;
  const all = [...byId("tabs").children];
  const next = all[(all.indexOf(document.activeElement) + by + all.length) % all.length];
  next.focus();
  next.click();
});

// ---------------------------------------------------------------------------------------------- views

const tabOf = (hash) => {
  const key = hash.split("/")[1] ?? "people";
  return key === "person" ? "people" : TABS.some((tab) => tab.key === key) ? key : "people";
};

function route() {
  if (!info) return;
  shown?.close?.();
  const [, key, number] = location.hash.split("/");
  const container = byId("view");
  drawTabs();
  shown = {};
  if (key === "person" && number) shown = showPerson(container, context, Number(number));
  else shown = TABS.find((tab) => tab.key === tabOf(location.hash)).show(container, context);
}

addEventListener("hashchange", () => {
  route();
  if (!byId("tabs").contains(document.activeElement)) byId("view").focus({ preventScroll: true });  // unless the arrow keys are moving between tabs
});

// Makes a correction, reports it, and shows its effect at once.
async function change(make, { undoable = true, then } = {}) {
  try {
    const { done } = await make();
    notice(undoable ? done : `Taken back: ${done.replace(/^undone: /, "")}`, undoable ? { action: "Undo", onclick: () => change(() => op("album.undo", { album }), { undoable: false }) } : {});
    await load({ view: false });
    if (then) then();
    else route();
    if (document.activeElement === document.body) byId("view").focus({ preventScroll: true });  // the focused element is gone
  } catch (error) {
    failed(error);
  }
}

// A ZIP of people, photos or a search, streamed to disk by the browser.
async function download(what, pictures = []) {
  try {
    const ready = await form("/api/album/export", "export", { album, ...what }, pictures);
    if (!ready.files) {
      notice("There is nothing to download.");
      return;
    }
    el("a", { href: address("/api/album/download", { export: ready.export }), download: "" }).click();
    notice(`${ready.name}: ${plural(ready.files, "file")}, ${megabytes(ready.size_bytes)}.`);
  } catch (error) {
    failed(error);
  }
}

async function rename() {
  const answer = await ask({ title: "Rename the album", fields: [{ name: "to", label: "New name", value: album }], action: "Rename" });
  if (!answer) return;
  renaming = true;
  try {
    album = await whileRenaming(album, async () => {
      info = await op("album.rename", { album, to: answer.to.trim() });
      return info.album;
    });
    history.replaceState(null, "", address("/album", { album }) + location.hash);
    load();
  } catch (error) {
    failed(error);
  } finally {
    renaming = false;
  }
}

async function remove() {
  const answer = await ask({ title: `Delete ${album}?`, text: `Its ${plural(info.photos, "photo")} and everything found in them go for good. This can't be taken back. Type the album's name to do it.`, fields: [{ name: "name", label: "The album's name" }], action: "Delete for good", danger: true });
  if (!answer) return;
  if (answer.name.trim() !== album) {
    notice("That was another name; nothing was deleted.");
    return;
  }
  try {
    await op("album.delete", { album });
    location.assign("/albums");
  } catch (error) {
    failed(error);
  }
}

// ---------------------------------------------------------------------------------------------- adding and progress

async function add({ items, others, service }) {
  if (!items.length) {
    notice(`No photos in there. ${formatNames()} and ZIP files are taken.`, { bad: true });
    return;
  }
  if (others.length || service) notice(leftOut(others, service));
  try {
    await upload(album, items);
  } catch (error) {
    failed(error);
  }
}

let known = 0;  // finished uploads to this album seen so far

function showUploads() {
  drawWork();
  if (known === endings(album)) return;
  known = endings(album);
  load();  // show what has arrived
}

const isSending = () => uploads().some((one) => one.album === album && one.state === "ready");
const drawWork = () => redraw(byId("progress"), ...uploadTasks(album, failed), imports.task(), processingTask(info, { idle: !isSending(), process }));

async function process() {
  try {
    await op("album.process", { album });
  } catch (error) {
    failed(error);
  }
  load();
}

async function dropHere(transfer) {
  try {
    add(await dropped(transfer));
  } catch (error) {
    failed(error);
  }
}

byId("choose-files").setAttribute("accept", `${acceptPictures()},.zip,application/zip`);
for (const id of ["choose-files", "choose-folder"]) {
  byId(id).addEventListener("change", (event) => { const files = [...event.target.files]; event.target.value = ""; chosen(files).then(add, failed); });
}
whenDropped(dropHere);
document.addEventListener("facewire:server", async (event) => {
  if (event.detail !== "online") return;
  if (shown) (shown.online ?? shown.stale)?.(true);
  await load({ view: false });
  imports.learn();
});
followUploads(showUploads);
prepare();
loading(byId("view"));
load();
imports.learn();
