// One album: what is in it, adding to it, the work under way, and its views.

import { address, form, importFolder, lastImport, op, parting } from "./api.js";
import { ask, button, byId, el, duration, errorState, megabytes, meter, plural, redraw, tell } from "./dom.js";
import { pickFolder } from "./album_folders.js";
import { loading } from "./grid.js";
import { showFind } from "./album_find.js";
import { showPeople, showPerson } from "./album_people.js";
import { showPhotos } from "./album_photos.js";
import { showSuggestions } from "./album_suggest.js";
import { failed, notice } from "./shell.js";
import { chosen, dropped, Upload } from "./uploads.js";

const LOOK_MS = 1000;
let album = new URLSearchParams(location.search).get("album");
let info = null;
let upload = null;
let importing = null;       // a folder of the server's own: what the gateway says of it
let canImport = false;      // does the server let its folders be imported?
let work = null;            // of the processing: {total, begun, first}
let shown = null;           // the view on the screen: {close?, stale?(finished), online?}
let timer;

const TABS = [
  { key: "people", label: "People", count: () => info.people, show: showPeople },
  { key: "photos", label: "Photos", count: () => info.photos, show: showPhotos },
  { key: "find", label: "Find somebody", show: showFind },
  { key: "suggestions", label: "Same person?", show: showSuggestions },
];

// What the views are given: the album's name and state, and how to change something.
const context = {
  get album() { return album; },
  get info() { return info; },
  change, download, addFiles: () => byId("choose-files").click(), addFolder: () => byId("choose-folder").click(), dropHere,
};

// ---------------------------------------------------------------------------------------------- the state of it

async function load({ view = true } = {}) {
  clearTimeout(timer);
  try {
    info = await op("album.status", { album });
  } catch (error) {
    const away = error.code === "offline" || error.code === "gateway";
    if (away && shown) return;  // the banner says so; what is on the screen stays
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
    canImport ? button("From the server", { name: "folder", title: "A folder of the server's own disk", onclick: importSome }) : null,
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
  if (!byId("tabs").contains(document.activeElement)) byId("view").focus({ preventScroll: true });  // arrows go on from tab to tab
});

// Makes a correction, says it, and shows its effect at once.
async function change(make, { undoable = true, then } = {}) {
  try {
    const { done } = await make();
    notice(undoable ? done : `Taken back: ${done.replace(/^undone: /, "")}`, undoable ? { action: "Undo", onclick: () => change(() => op("album.undo", { album }), { undoable: false }) } : {});
    await load({ view: false });
    if (then) then();
    else route();
    if (document.activeElement === document.body) byId("view").focus({ preventScroll: true });  // what had it is gone
  } catch (error) {
    failed(error);
  }
}

// A ZIP of people, photos or a search, saved by the browser as it comes.
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
  try {
    info = await op("album.rename", { album, to: answer.to.trim() });
    album = info.album;
    history.replaceState(null, "", address("/album", { album }) + location.hash);
    load();
  } catch (error) {
    failed(error);
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

// ---------------------------------------------------------------------------------------------- adding, and the work

async function add(items) {
  if (!items.length) {
    notice("No photos in there. JPEG, PNG, WebP, BMP, TIFF, GIF, HEIC and ZIP files are taken.", { bad: true });
    return;
  }
  if (upload && !upload.finished) {
    notice("One upload at a time: drop these again when the first is through.", { bad: true });
    return;
  }
  upload = new Upload(album, items, drawWorkSoon);
  drawWork();
  await upload.run();
  sayRefused(upload.refused, upload.refused.length);
  try {
    await op("album.process", { album });
  } catch (error) {
    failed(error);
  }
  load();
}

function sayRefused(refused, total) {
  if (!total) return;
  notice(`${plural(total, "file")} not taken, ${refused[0].name}: ${refused[0].reason}`, { bad: true, action: total > 1 ? "All of them" : undefined,
    onclick: () => tell(`${plural(total, "file")} not taken`, refused.map(({ name, reason }) => ({ name, reasons: [reason] }))) });
}

// The same files once more: what has arrived is recognised, and a ZIP goes on at the byte where it stopped.
function goOn() {
  if (upload?.finished && upload.problem) add(upload.items);
}

let drawing = false;

function drawWorkSoon() {  // a thousand small photos a second would only draw
  if (drawing) return;
  drawing = true;
  setTimeout(() => { drawing = false; drawWork(); }, 150);
}

function drawWork() {
  const tasks = [];
  if (upload && !upload.finished) {
    tasks.push(task(`Uploading ${plural(upload.files, "file")}`, upload.sent / Math.max(1, upload.bytes),
      `${megabytes(upload.sent)} of ${megabytes(upload.bytes)} · ${megabytes(upload.bytesPerSecond || 0)}/s · ${duration(upload.secondsLeft)}`,
      "Keep this page open. What has arrived is kept; drop the same again to go on after a break.", button("Stop", { small: true, onclick: () => upload.stop() })));
  }
  if (upload?.finished && upload.problem) {
    tasks.push(task("The upload stopped", upload.sent / Math.max(1, upload.bytes), `${megabytes(upload.sent)} of ${megabytes(upload.bytes)}`, `${upload.problem.message} What has arrived is kept.`,
      el("span", { class: "row" }, button("Go on", { kind: "primary", small: true, onclick: goOn }), button("Leave it", { small: true, onclick: () => { upload = null; drawWork(); } }))));
  }
  if (importing?.running) {
    const { done, total, folder } = importing;
    const seconds = (performance.now() - importing.begun) / 1000;
    const rate = (done - importing.first) / seconds;
    tasks.push(task(`Importing ${folder || "the folder"} from the server`, done / Math.max(1, total), total ? `${done} of ${plural(total, "file")} · ${rate.toFixed(1)} a second · ${duration((total - done) / rate)}` : "waiting",
      "The server does this: you can close the page."));
  } else if (importing?.error) {
    const { folder, error } = importing;
    tasks.push(task("The import stopped", importing.done / Math.max(1, importing.total), "", `${folder}: ${error.message} What was added is kept.`,
      el("span", { class: "row" }, button("Go on", { kind: "primary", small: true, onclick: () => beginImport(folder) }), button("Leave it", { small: true, onclick: () => { importing = null; drawWork(); } }))));
  }
  if (info?.processing) {
    work ??= { first: info.waiting, begun: performance.now() };
    work.first = Math.max(work.first, info.waiting);
    const done = work.first - info.waiting;
    const seconds = (performance.now() - work.begun) / 1000;
    const rate = done / seconds;
    const facts = info.waiting ? `${done} of ${plural(work.first, "photo")} · ${rate.toFixed(1)} a second · ${duration(info.waiting / rate)}` : "sorting the faces";
    tasks.push(task("Finding people", done / Math.max(1, work.first), facts, "The server does this: you can close the page."));
  } else {
    work = null;
    if (info?.waiting && !(upload && !upload.finished)) tasks.push(task(`${plural(info.waiting, "photo")} not looked at yet`, 0, "", "Faces are found when you say so.", button("Find people", { kind: "primary", small: true, onclick: process })));
  }
  redraw(byId("progress"), tasks);
}

function task(title, share, facts, text, action) {
  const bar = meter(share);
  bar.removeAttribute("aria-hidden");
  Object.entries({ role: "progressbar", "aria-label": title, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(100 * share) }).forEach(([key, value]) => bar.setAttribute(key, value));
  return el("div", { class: "card task" }, el("div", {}, el("h2", {}, title), el("p", { class: "sub" }, text)), el("div", {}, el("p", { class: "facts" }, facts), action ?? null), bar);
}

// ---------------------------------------------------------------------------------------------- folders of the server

async function learnImports() {
  try {
    canImport = (await op("album.folders", {})).allowed;
    if (!canImport || importing?.running) return;
    if (info) drawHead();
    const last = await lastImport(album);
    if (last?.running) followImport(last);
  } catch (error) {
    // an older server has nothing to offer here; that one is away is said above
    if (!["unsupported_op", "offline", "gateway"].includes(error.code)) failed(error);
  }
}

async function importSome() {
  const folder = await pickFolder();
  if (folder !== null) beginImport(folder);
}

async function beginImport(folder) {
  try {
    followImport(await importFolder(album, folder));
  } catch (error) {
    failed(error);
  }
}

async function followImport(now) {
  const first = now.done;
  const begun = performance.now();
  for (;;) {
    importing = { ...now, first, begun };
    drawWork();
    if (!now.running) break;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    try {
      now = await lastImport(album) ?? { ...now, running: false, error: { message: "The gateway was started again." } };
    } catch (error) {
      if (!["offline", "gateway"].includes(error.code)) now = { ...now, running: false, error };  // else: asked again
    }
  }
  if (now.result) {
    const { added, duplicates, skipped, skipped_total: total } = now.result;
    notice(`${plural(added, "photo")} imported${duplicates ? `, ${duplicates} there already` : ""}.`);
    sayRefused(skipped, total);
  }
  load();
}

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

byId("choose-files").setAttribute("accept", "image/*,.heic,.heif,.zip,application/zip");
for (const id of ["choose-files", "choose-folder"]) {
  byId(id).addEventListener("change", (event) => { const items = chosen(event.target.files); event.target.value = ""; add(items); });
}
const carriesFiles = (event) => [...event.dataTransfer.types].includes("Files");
document.addEventListener("dragover", (event) => { if (carriesFiles(event)) { event.preventDefault(); document.body.classList.add("dropping"); } });
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
document.addEventListener("drop", (event) => {
  document.body.classList.remove("dropping");
  if (!carriesFiles(event) || event.defaultPrevented) return;
  event.preventDefault();
  dropHere(event.dataTransfer);
});
addEventListener("beforeunload", (event) => { if (upload && !upload.finished) event.preventDefault(); });
addEventListener("pagehide", () => { if (upload && !upload.finished) parting("album.process", { album }); });  // what has arrived is looked at
document.addEventListener("facewire:server", async (event) => {
  if (event.detail !== "online") return;
  if (shown) (shown.online ?? shown.stale)?.(true);
  await load({ view: false });
  learnImports();
  if (upload?.problem && ["offline", "gateway"].includes(upload.problem.code)) goOn();
});
loading(byId("view"));
load();
learnImports();
