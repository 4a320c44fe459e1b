// @ts-check
// An album: its contents, adding photos, work in progress, and its views.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { address, changesAlbums, form, op } from "./api.js";
import { Imports } from "./album_imports.js";
import { showPeople, showPerson } from "./album_people.js";
import { openLinked, showPhotos } from "./album_photos.js";
import { takeBack } from "./album_undo.js";
import { addingTask, processingTask, uploadTasks } from "./album_work.js";
import { ALBUMS, inUse, ofAlbum, tellChange, whenChangedElsewhere } from "./changes.js";
import { ask } from "./dialogs.js";
import { whenDropped } from "./drag.js";
import { chosen, dropped } from "./dropped.js";
import { acceptKept, formatNames, leftOut } from "./formats.js";
import { later, viewLater } from "./later.js";
import { metadataChoices, wantsEmbedded } from "./metadata.js";
import { brought, takeOver } from "./page_answers.js";
import { placeOf } from "./photo_address.js";
import { failed, notice } from "./shell.js";
import { add as upload, endings, follow as followUploads, prepare, uploads, whileRenaming } from "./uploading.js";
import { button, byId, element, errorState, loading, render, say } from "./view.js";
import { isolated, isolating, megabytes, named, plural, said, whole } from "./words.js";

const LOOK_MS = 1000;
const metadata = metadataChoices();
let album = new URLSearchParams(location.search).get("album");
let info = null;
let shown = null; // the current view: {close?, stale?(finished), online?}
let routed = null; // its hash
let timer = null;
const imports = new Imports(() => album, {
  ondraw: () => drawWork(),
  onallowed: () => {
    if (info) drawHead();
  },
  onend: () => load(),
});

const showFind = viewLater(later(async () => (await import("./album_find.js")).showFind));
const showNaming = viewLater(later(async () => (await import("./album_naming.js")).showNaming));
const showSuggestions = viewLater(later(async () => (await import("./album_suggest.js")).showSuggestions));
/** @type {{key: string, label: string, count?: () => number, show: Function}[]} */
const TABS = [
  { key: "people", label: "People", count: () => info.people, show: showPeople },
  { key: "naming", label: "To name", count: () => info.people - info.named - info.strangers, show: showNaming },
  { key: "photos", label: "Photos", count: () => info.photos, show: showPhotos },
  { key: "find", label: "Find somebody", show: showFind },
  { key: "suggestions", label: "Same person?", show: showSuggestions },
].filter(({ key }) => changesAlbums || ["people", "photos", "find"].includes(key));

// Passed to the views: the album's name and state, and functions that change it.
const context = {
  get album() {
    return album;
  },
  get info() {
    return info;
  },
  get arriving() {
    return arriving();
  },
  change,
  refresh: () => load({ view: false }).then(() => shown?.refreshed?.()),
  renamed: () => shown?.renamed?.(),
  download,
  changed: () => load(),
  addFiles: () => byId("choose-files").click(),
  addFolder: () => byId("choose-folder").click(),
  dropHere,
};

// ---------------------------------------------------------------------------------------------- state

let renaming = false;
let changing = 0; // corrections of this page under way
let [asks, latest] = [0, 0]; // number of the last request for the album's state, and of the one that `info` answers
let processing = false; // it was, and its end has not been said

// Resolves to whether processing has ended, which it then has said and shown.
async function load({ view = true } = {}) {
  clearTimeout(timer);
  timer = null;
  const asked = album;
  const number = (asks += 1);
  try {
    const now = await op("album.status", { album });
    if (number > latest) [info, latest] = [now, number];
  } catch (error) {
    if (renaming || asked !== album) return; // it was renamed meanwhile, and is loaded under its new name
    const away = error.code === "offline" || error.code === "gateway";
    if (away && shown) return; // the banner says so; keep the current view
    shown?.close?.();
    shown = null;
    render(errorState(error, load), byId("view"));
    render(null, byId("tabs"));
    render(null, byId("actions"));
    return;
  }
  drawHead();
  drawWork();
  if (view || !shown) route();
  clearTimeout(timer); // of another call that ended meanwhile
  if (info.processing || arriving()) timer = setTimeout(follow, LOOK_MS);
  processing ||= info.processing;
  if (!processing || info.processing || arriving()) return false;
  processing = false;
  notice(`Done: ${plural(info.people, "person", "people")} in ${plural(info.photos, "photo")}.`);
  if (!view) shown?.stale?.(true);
  return true;
}

// Are photos being added?
const arriving = () => Boolean(isSending() || imports.now?.running || info?.adding);

async function follow() {
  timer = null;
  const before = info;
  const finished = await load({ view: false });
  if (changesAlbums && info.adding && info.waiting && !info.processing)
    op("album.process", { album, provisional: true }).catch(() => null);
  if (!finished && (before.people !== info.people || before.photos !== info.photos)) shown?.stale?.(false);
}

function drawHead() {
  render(named(info.album), byId("name"));
  document.title = `${info.album} · facewire`;
  const unread = info.unreadable ? `, ${whole(info.unreadable)} unreadable` : "";
  const people = `${plural(info.people, "person", "people")}, ${whole(info.named)} named${unread}`;
  say(
    byId("count"),
    `${plural(info.photos, "photo")} · ${megabytes(info.size_bytes)} · ${plural(info.faces, "face")} of ${people}`,
  );
  const save = sign("download", "Download the album as a ZIP", () => download({}));
  render(changesAlbums ? actions(save) : save, byId("actions"));
  drawTabs();
}

const sign = (name, label, onclick, kind = "") =>
  button("", { name, kind, "aria-label": label, title: label, onclick });

const actions = (save) => [
  button("Add photos", { name: "upload", kind: "primary", onclick: context.addFiles }),
  button("Add a folder", { name: "folder", onclick: context.addFolder }),
  imports.allowed
    ? button("From the server", {
        name: "folder",
        title: "A folder of the server's own disk",
        onclick: () => imports.choose(),
      })
    : null,
  button("Undo", {
    name: "undo",
    disabled: !info.undo,
    title: info.undo ? `Undo: ${info.undo}` : "Nothing to undo",
    onclick: () => undoChange(info.undo_event),
  }),
  save,
  sign("edit", "Rename the album", rename),
  sign("trash", "Delete the album", remove, "danger"),
  metadata,
];

function drawTabs() {
  const current = tabOf(location.hash);
  const tab = ({ key, label, count = null }) =>
    html`<button
      type="button"
      role="tab"
      id=${`tab-${key}`}
      aria-selected=${key === current}
      aria-controls="view"
      tabindex=${key === current ? 0 : -1}
      @click=${() => (location.hash = `#/${key}`)}
    >
      ${label}${count ? html`<span class="count">${whole(count())}</span>` : nothing}
    </button>`;
  render(TABS.map(tab), byId("tabs"));
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
  routed = placeOf(location.hash).view;
  const [, key, number] = routed.split("/");
  const container = document.createElement("div"); // the view's own: one that was left may still draw into its own
  render(container, byId("view"));
  drawTabs();
  shown = {};
  if (key === "person" && number) shown = showPerson(container, context, Number(number));
  else shown = TABS.find((tab) => tab.key === tabOf(location.hash)).show(container, context);
}

// A link to a photo, or Back to one.
async function openAddressed() {
  const { view, photo } = placeOf(location.hash);
  if (photo === null || !info || document.querySelector(".lightbox")) return;
  try {
    if (await openLinked(context, photo)) return;
    notice("This photo is gone.");
    history.replaceState(null, "", view);
  } catch (error) {
    failed(error);
  }
}

addEventListener("hashchange", () => {
  if (info && placeOf(location.hash).view === routed) {
    openAddressed();
    return;
  }
  route();
  openAddressed();
  // Unless the arrow keys are moving between tabs
  if (!byId("tabs").contains(document.activeElement)) byId("view").focus({ preventScroll: true });
});

const OUTDATED = new Set(["conflict", "unknown_person", "invalid_request"]);

// Makes a correction, reports it, and shows its effect at once. `say(text, undo)` reports it instead of a notice.
async function change(make, { undoable = true, then = route, say = tellDone } = {}) {
  changing += 1;
  try {
    const { done, event, people } = await make();
    const words = isolating(
      undoable ? done : `Undone: ${done.replace(/^undone: /, "")}`,
      (people ?? []).map(({ name }) => name),
    );
    say(words, undoable ? () => undoChange(event) : null);
    tellChange(ofAlbum(album));
    await load({ view: false });
    then();
    // The focused element is gone, or can't be pressed any more
    if (document.activeElement.matches("body, :disabled")) byId("view").focus({ preventScroll: true });
  } catch (error) {
    failed(error);
    if (OUTDATED.has(error.code)) await load(); // somebody else may have changed something: show it
  } finally {
    changing -= 1;
  }
}

const tellDone = (words, undo) => notice(words, undo ? { action: "Undo", onclick: undo } : {});

const undoChange = (event) => change(() => takeBack(album, event), { undoable: false });

// Shows what other tabs and machines have changed, unless that would disturb somebody who types or chooses.
async function lookAgain(what) {
  if (!info || info.processing || changing || (what && what !== ofAlbum(album))) return;
  const before = JSON.stringify(info);
  await load({ view: false });
  if (JSON.stringify(info) === before || !shown) return;
  if (inUse(byId("view"))) notice("This album was changed elsewhere.", { action: "Show it", onclick: route });
  else shown.stale?.(true);
}

// A ZIP of people, photos or a search, streamed to disk by the browser.
async function download(what, pictures = []) {
  try {
    const ready = await form("/api/album/export", "export", { album, embedded: wantsEmbedded(), ...what }, pictures);
    if (!ready.files) {
      notice("There is nothing to download.");
      return;
    }
    element(html`<a href=${address("/api/album/download", { export: ready.export })} download></a>`).click();
    const beside =
      wantsEmbedded() && ready.beside
        ? ` The names of ${plural(ready.beside, "photo")} are in XMP files beside them.`
        : "";
    notice(said`${ready.name}: ${plural(ready.files, "file")}, ${megabytes(ready.size_bytes)}.${beside}`);
  } catch (error) {
    failed(error);
  }
}

async function rename() {
  const answer = await ask({
    title: "Rename the album",
    fields: [{ name: "to", label: "New name", value: album }],
    action: "Rename",
  });
  if (!answer) return;
  renaming = true;
  try {
    album = await whileRenaming(album, async () => {
      info = await op("album.rename", { album, to: answer.to.trim() });
      return info.album;
    });
    history.replaceState(null, "", address("/album", { album }) + location.hash);
    tellChange(ALBUMS);
    load();
  } catch (error) {
    failed(error);
  } finally {
    renaming = false;
  }
}

async function remove() {
  const answer = await ask({
    title: `Delete ${isolated(album)}?`,
    text:
      `Its ${plural(info.photos, "photo")} and everything found in them will be deleted permanently. ` +
      "This can't be undone. Type the album's name to confirm.",
    fields: [{ name: "name", label: "The album's name" }],
    action: "Delete for good",
    danger: true,
  });
  if (!answer) return;
  if (answer.name.trim() !== album) {
    notice("The name doesn't match; nothing was deleted.");
    return;
  }
  try {
    await op("album.delete", { album });
    tellChange(ofAlbum(album));
    location.assign("/albums");
  } catch (error) {
    failed(error);
  }
}

// ---------------------------------------------------------------------------------------------- adding and progress

/** @param {any} found */
async function add({ items, others, service }) {
  if (!items.length) {
    notice(`No photos in it. ${formatNames()} and ZIP files are accepted.`, { bad: true });
    return;
  }
  if (others.length || service) notice(leftOut(others, service));
  try {
    await upload(album, items);
  } catch (error) {
    failed(error);
  }
}

let known = 0; // finished uploads to this album seen so far

function showUploads() {
  drawWork();
  if (info && !timer && isSending()) timer = setTimeout(follow, LOOK_MS);
  if (known === endings(album)) return;
  known = endings(album);
  load(); // show what has arrived
}

const isSending = () => uploads().some((one) => one.album === album && one.state === "ready");
const drawWork = () =>
  render(
    [
      uploadTasks(album, failed),
      imports.task() ?? addingTask(info, isSending()),
      processingTask(info, { idle: changesAlbums && !arriving(), process }),
    ],
    byId("progress"),
  );

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

byId("choose-files").setAttribute("accept", `${acceptKept()},.xmp,.zip,application/zip`);
for (const id of ["choose-files", "choose-folder"]) {
  byId(id).addEventListener("change", (event) => {
    const files = [...event.target.files];
    event.target.value = "";
    chosen(files).then(add, failed);
  });
}
if (changesAlbums) whenDropped(dropHere);
document.addEventListener("facewire:server", async (/** @type {any} */ event) => {
  if (event.detail !== "online") return;
  if (shown) (shown.online ?? shown.stale)?.(true);
  await load({ view: false });
  if (changesAlbums) imports.learn();
});
followUploads(showUploads);
whenChangedElsewhere(lookAgain, { often: true });
prepare();
const begin = () => load().then(openAddressed);
if (brought) takeOver(byId("view"), begin);
else {
  render(loading(byId("view")), byId("view"));
  begin();
}
if (changesAlbums) imports.learn();
