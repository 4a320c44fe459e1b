// @ts-check
// The page's side of uploads: it puts dropped files into the outbox, and a service worker sends them, so the page may
// be closed. If the browser can't do that, the page sends them itself, and says that it must stay open.

import { asking, maxPicture, parting } from "./api.js";
import { HeldBatch } from "./batches.js";
import { isZip } from "./dropped.js";
import { alter, batches, forget, hasRoom, keep } from "./outbox.js";
import { Upload } from "./uploads.js";

const WORKER = "/static/js/upload_worker.js";
const POKE_MS = 20000; // browsers end a worker that has been idle for some minutes
const NEWS_MS = 200;

const channel = "BroadcastChannel" in window ? new BroadcastChannel("facewire-uploads") : null;
const kept = new Map(); // batches in the outbox: id -> the worker's state of it
const copying = new Set(); // ids of batches being copied by this page
const held = new Map(); // uploads by this page itself: id -> {upload, why, state, problem}
const listeners = new Set();
let timer;

// ---------------------------------------------------------------------------------------------- uploads

// All uploads. `keepOpen`: why the page must not be closed yet; null if it may.
export function uploads() {
  const own = [...held.values()].map(({ upload, ...more }) => ({ ...upload.news, ...more }));
  return [...own, ...[...kept.values()].map((one) => ({ ...one, keepOpen: copying.has(one.id) ? "copying" : null }))];
}

// Calls `tell` after every change.
export function follow(tell) {
  listeners.add(tell);
}

// Number of uploads to an album ended since this page was opened, including those already reported by another page.
export const endings = (album) => ended.get(album) ?? 0;

const going = new Map(); // id -> album
const over = new Set(); // ids already counted
const ended = new Map(); // album -> count

function count() {
  const now = uploads();
  for (const { id, album, state } of now) {
    if (state !== "ready") continue;
    going.set(id, album);
    over.delete(id); // it may have been stopped earlier
  }
  const gone = [...going].filter(([id]) => !now.some((one) => one.id === id));
  for (const [id, album] of [
    ...now.filter(({ state }) => state !== "ready").map((one) => [one.id, one.album]),
    ...gone,
  ]) {
    going.delete(id);
    if (!over.has(id)) ended.set(album, endings(album) + 1);
    over.add(id);
  }
}

let drawing = null;

function changed() {
  count(); // at once: a small upload may begin and end between two redraws
  // limits redraws: otherwise a thousand small photos a second would only redraw
  drawing ??= setTimeout(() => {
    drawing = null;
    listeners.forEach((tell) => tell());
  }, NEWS_MS);
}

function hear(news) {
  kept.clear();
  news.forEach((batch) => kept.set(batch.id, batch));
  clearTimeout(timer);
  if (news.some(({ state }) => state === "ready")) timer = setTimeout(poke, POKE_MS);
  changed();
}

// Reads the outbox, and resumes the worker if it is not empty.
export async function begin() {
  if (!window.isSecureContext || !channel) return;
  channel.addEventListener("message", ({ data }) => {
    if (data.news) hear(data.news);
    else if (data.look) look({ others: false });
  });
  document.addEventListener("facewire:server", (/** @type {any} */ { detail }) => {
    if (detail === "online") wake();
  });
  try {
    const found = await batches();
    hear(found);
    if (found.some(({ state }) => state === "ready")) await poke();
  } catch {
    // no database: then nothing is waiting, and the page sends dropped files itself
  }
}

function wake() {
  held.forEach(({ upload }) => upload.wake());
  if ([...kept.values()].some(({ state }) => state === "ready")) poke();
}

// ---------------------------------------------------------------------------------------------- the worker

// The URL as required by Trusted Types: no other can become a worker.
/** @type {any} */
const ours = window; // the checker's types lack Trusted Types
const address = () =>
  ours.trustedTypes?.createPolicy("upload-worker", { createScriptURL: () => WORKER }).createScriptURL("") ?? WORKER;
let registering = null;

// The registration of a running worker. Rejects if the browser has no service workers.
function worker() {
  registering ??= register().catch((error) => {
    registering = null;
    throw error;
  });
  return registering;
}

// Starts the worker in advance, as the gateway may be offline when something is dropped.
export const prepare = () => window.isSecureContext && worker().catch(() => null);

let trusted = null;

async function register() {
  trusted ??= address();
  const registration = await navigator.serviceWorker.register(trusted, { type: "module", updateViaCache: "none" });
  const one = registration.active ?? registration.waiting ?? registration.installing;
  await new Promise((resolve, reject) => {
    const look = () => {
      if (one.state === "activated") resolve(one);
      if (one.state === "redundant") reject(new Error("The browser could not start the worker."));
    };
    one.addEventListener("statechange", look);
    look();
  });
  return registration;
}

async function poke() {
  clearTimeout(timer);
  timer = setTimeout(poke, POKE_MS);
  let registration;
  try {
    registration = await worker();
  } catch {
    clearTimeout(timer); // it could be started once but can't now: the files keep waiting
    return;
  }
  if (!registration.active) registering = null; // logging out in another tab has ended it
  registration.active?.postMessage("go");
  await registration.sync?.register("uploads").catch(() => null); // not supported everywhere, and may be forbidden
}

// ---------------------------------------------------------------------------------------------- adding

// Starts an upload; resolves when the page may be closed, or has sent everything itself.
export async function add(album, items) {
  const why = await whyNot(items);
  if (why) return sendHere(album, items, why);
  let id = null;
  const copied = (batch) => {
    id = batch.id;
    copying.add(id);
    kept.set(id, { ...kept.get(id), ...batch });
    changed();
    poke();
  };
  try {
    await keep(album, items, isZip, copied);
    copying.delete(id);
    changed();
    return poke();
  } catch (error) {
    copying.delete(id);
    await look();
    if (error.name === "AbortError") return null; // the user cancelled it
    // Files that have arrived are not sent again
    return sendHere(album, items, "the browser could not keep a copy of these files");
  }
}

async function whyNot(items) {
  if (!window.isSecureContext)
    return "browsers send files from closed pages only on this machine (localhost) or over TLS";
  try {
    await worker();
    await batches();
  } catch {
    return (await isGatewayAway())
      ? "its gateway stopped before this browser was ready to send files without the page"
      : "this browser sends files from open pages only";
  }
  const bytes = items.reduce((sum, { file }) => sum + file.size, 0);
  return (await hasRoom(bytes)) ? null : "these files don't fit into the browser's storage";
}

// A worker whose script can't be fetched looks like one that the browser can't run.
async function isGatewayAway() {
  const error = await asking.send("/api/session").catch((problem) => problem);
  return error?.code === "gateway";
}

async function sendHere(album, items, keepOpen, batch = new HeldBatch(album, items, isZip)) {
  const one = {
    upload: new Upload(batch, asking, maxPicture, changed),
    keepOpen,
    state: "ready",
    problem: null,
    items,
  };
  held.set(batch.batch.id, one);
  changed();
  try {
    await one.upload.run();
    Object.assign(one, { state: "finished", keepOpen: null });
  } catch (error) {
    Object.assign(one, {
      state: "stopped",
      keepOpen: null,
      problem: error.name === "AbortError" ? null : error.message,
    });
  }
  changed();
}

// ---------------------------------------------------------------------------------------------- what somebody does

export async function stop(id) {
  held.get(id)?.upload.stop();
  if (held.has(id)) return;
  await alter(id, (batch) =>
    batch.state === "ready" ? Object.assign(batch, { state: "stopped", problem: null }) : false,
  );
  channel.postMessage({ stop: id });
  await look();
}

export async function goOn(id) {
  const one = held.get(id);
  if (one) {
    held.delete(id);
    one.upload.held.again();
    sendHere(
      one.upload.held.batch.album,
      one.items,
      (await whyNot(one.items)) ?? "this upload started in it",
      one.upload.held,
    );
    return;
  }
  await alter(id, (batch) => Object.assign(batch, { state: "ready", problem: null }));
  await look();
  await poke();
}

// Forgets an upload; resolves to whether this page did it, and no other.
export async function leave(id) {
  if (held.delete(id)) {
    changed();
    return true;
  }
  const mine = await forget(id);
  await look();
  return mine;
}

// Renames an album: uploads to it pause meanwhile, and go on under the name that `change` resolves to.
export async function whileRenaming(album, change) {
  const mine = [...kept.values()].filter((one) => one.album === album && one.state !== "finished");
  const ready = mine.filter(({ state }) => state === "ready");
  if (!mine.length) return change();
  for (const { id } of ready) await stop(id);
  let to = album;
  try {
    to = await change();
  } finally {
    for (const { id } of mine)
      await alter(id, (batch) => {
        batch.album = to;
      });
    for (const { id } of ready) await goOn(id);
    await look();
  }
  return to;
}

async function look({ others = true } = {}) {
  const found = await batches();
  hear(found.map((batch) => ({ ...kept.get(batch.id), ...batch })));
  if (others) channel.postMessage({ look: true });
}

const mustStay = () => uploads().some(({ keepOpen, state }) => keepOpen && state === "ready");
addEventListener("beforeunload", (event) => {
  if (mustStay()) event.preventDefault();
});
addEventListener("pagehide", () =>
  held.forEach(({ upload, state }) => {
    if (state === "ready") parting("album.process", { album: upload.held.batch.album });
  }),
); // what has arrived is looked at
