// @ts-check
// The service worker that sends the outbox, even while no page is open. It never intercepts requests: it has no fetch
// handler, and no page lies below /static/js/.
//
// Browsers let it run for some minutes after the last page is closed, and wake it again if they support Background
// Sync; opening any of our pages also resumes it. It may be killed at any moment: the outbox is authoritative.

import { ApiError, Asking, pause } from "./asking.js";
import { alter, batches, drop, KeptBatch } from "./outbox.js";
import { Upload } from "./uploads.js";

const NEWS_MS = 200;
const STALE_MS = 2000;
const channel = new BroadcastChannel("facewire-uploads");
let session = null; // {csrf, max_picture}: as in a page's HTML
let upload = null; // under way
let running = null;
let again = false;
let announcing = null;

const asking = new Asking(async () => session?.csrf ?? "");

async function openSession() {
  session = await asking.send("/api/session");
}

// Sends all waiting files. One run at a time, even if an older version of this worker is still running.
function goOn() {
  again = true;
  upload?.wake();
  running ??= navigator.locks.request("facewire-uploads", sendAll).finally(() => {
    running = null;
    return again ? goOn() : null;
  });
  return running;
}

async function sendAll() {
  while (again) {
    again = false;
    for (;;) {
      const batch = (await batches()).find((one) => one.state === "ready");
      if (!batch) break;
      if (!(await send(batch))) return;
    }
  }
}

// Resolves to whether to continue with other batches.
async function send(batch) {
  const held = new KeptBatch(batch);
  upload = new Upload(held, asking, Infinity, announceSoon);
  try {
    await upload.patiently(openSession);
    upload.maxPicture = session.max_picture;
    await upload.run();
    const lost = held.batch.files - held.batch.copied;
    await end(
      batch.id,
      "finished",
      lost ? `The page was closed before ${lost} of the files were copied. Drop them again.` : null,
    );
  } catch (error) {
    return await failed(batch.id, error);
  } finally {
    upload = null;
    await announce();
  }
  return true;
}

async function failed(id, error) {
  switch (error.code) {
    case "unauthorized":
      return false; // somebody must log in first
    case "stale": // the gateway was restarted and has another CSRF token
      await pause(STALE_MS);
      return true;
    case "unknown_album":
      if (await end(id, "finished", "The album was deleted, so the remaining files were dropped.")) await drop(id);
      return true;
    default:
      if (error.name !== "AbortError") await end(id, "stopped", error.message);
      return true;
  }
}

// Was it still to be sent? The user may have stopped or discarded it.
async function end(id, state, problem) {
  const batch = await alter(id, (one) => (one.state === "ready" ? Object.assign(one, { state, problem }) : false));
  return batch?.state === state;
}

// ---------------------------------------------------------------------------------------------- pages

function announceSoon() {
  announcing ??= setTimeout(announce, NEWS_MS);
}

async function announce() {
  clearTimeout(announcing);
  announcing = null;
  const now = upload?.news;
  channel.postMessage({
    news: (await batches()).map((batch) =>
      batch.id === now?.id ? { ...now, ...batch, sent: now.sent, partly: 0 } : batch,
    ),
  });
}

channel.addEventListener("message", ({ data }) => {
  if (data.stop && data.stop === upload?.held.batch.id) upload.stop();
});
/** @type {any} */
const worker = self; // the page's types, which the checker has, know no service worker
worker.addEventListener("install", () => worker.skipWaiting());
worker.addEventListener("message", (event) => event.waitUntil(Promise.all([goOn(), announce()])));
worker.addEventListener("sync", (event) =>
  event.waitUntil(
    goOn().then(async () => {
      if ((await batches()).some(({ state }) => state === "ready"))
        throw new ApiError("unfinished", "The browser should retry it.");
    }),
  ),
);
