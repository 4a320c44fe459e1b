// @ts-check
// Uploads a batch to an album. Runs in the service worker, or in a page if there is none, so it uses neither a document
// nor a particular storage: the batch provides the files (batches.js, outbox.js).
//
// The server keeps what has arrived: a photo that it already has is recognised by its sha256 and not sent again, and a
// ZIP or a large video resumes at the server's offset. If the network, the gateway or the server is offline, the upload
// waits.

import { ApiError } from "./asking.js";

const AT_ONCE = 4;
const PIECE = 2 * 1024 * 1024;
const LARGE_VIDEO = 8 * 1024 * 1024; // bytes; larger ones are sent in pieces: LARGEST_WHOLE_VIDEO of album_files.py
const VIDEO_NAME = /\.(mp4|m4v|mov|qt)$/i; // a worker has no document with the table of formats
const PAGE = 1000;
const LOOK_MS = 5000; // between two requests to look at what has arrived
const PAUSE_MS = { first: 500, longest: 10000 };
const AWAY = new Set(["offline", "gateway", "busy", "timeout"]);
// Errors that concern all files
const ENDS_ALL = new Set(["unauthorized", "stale", "forbidden", "unknown_album", "storage"]);

// When a file was last changed: ISO 8601, by this device's clock and zone.
function timeOf({ lastModified }) {
  if (!lastModified) return undefined;
  const east = -new Date(lastModified).getTimezoneOffset();
  const [hours, minutes] = [Math.trunc(Math.abs(east) / 60), Math.abs(east) % 60].map((part) =>
    String(part).padStart(2, "0"),
  );
  const clock = new Date(lastModified + east * 60000).toISOString().slice(0, 19);
  return `${clock}${east < 0 ? "-" : "+"}${hours}:${minutes}`;
}

const isLargeVideo = ({ file, name }) =>
  file.size > LARGE_VIDEO && (file.type.startsWith("video/") || VIDEO_NAME.test(name));

export class Upload {
  // `held`: the batch; calls `onchange(upload)` after every photo, piece, and change of `waitsFor`.
  constructor(held, asking, maxPicture, onchange) {
    this.held = held;
    this.asking = asking;
    this.maxPicture = maxPicture;
    this.onchange = onchange;
    this.parts = new Map(); // files under way that are sent in pieces -> bytes sent
    this.waitsFor = null; // the error that it waits to clear
    this.stopping = new AbortController();
    this.sleepers = new Set();
    this.clock();
  }

  get partly() {
    return [...this.parts.values()].reduce((sum, bytes) => sum + bytes, 0);
  }

  // The rate is measured since the last interruption.
  clock() {
    this.begun = performance.now();
    this.first = this.held.batch.sent + this.partly;
  }

  // The state as plain data that can be sent to other pages.
  get news() {
    const { batch } = this.held;
    const sent = batch.sent + Math.max(this.partly, batch.partly ?? 0);
    const speed = (sent - this.first) / ((performance.now() - this.begun) / 1000); // bytes a second
    const waitsFor = this.waitsFor && { code: this.waitsFor.code, message: this.waitsFor.message };
    return {
      ...batch,
      sent,
      partly: 0,
      speed,
      secondsLeft: sent > this.first ? (batch.bytes - sent) / speed : NaN,
      waitsFor,
    };
  }

  stop() {
    this.stopping.abort();
    this.wake();
  }

  // The connection may be back: retries at once.
  wake() {
    this.sleepers.forEach((end) => end());
  }

  // Resolves when everything is sent. Rejects with AbortError after stop(), or an ApiError if nothing more can be sent.
  async run() {
    try {
      await this.patiently(() => this.learnKnown());
      await Promise.all(Array.from({ length: AT_ONCE }, () => this.sendAll(false)));
      await this.sendAll(true);
      await this.patiently(() => this.process());
    } catch (error) {
      this.stop();
      await this.process().catch(() => null); // process what has arrived; the error of the rest matters more
      throw error;
    }
  }

  async sendAll(zips) {
    for (;;) {
      this.stopping.signal.throwIfAborted();
      const item = await this.held.take(zips);
      if (!item) return;
      await this.held.settle(item, await this.outcomeOf(item, zips));
      this.parts.delete(item.file);
      this.onchange(this);
      this.lookSoon();
    }
  }

  async outcomeOf(item, isZip) {
    try {
      if (isZip) return await this.sendZip(item.file);
      return isLargeVideo(item) ? await this.sendVideo(item) : await this.sendPhoto(item);
    } catch (error) {
      if (error.name === "AbortError" || ENDS_ALL.has(error.code)) throw error;
      return { refused: [{ name: item.name, reason: error.message }] };
    }
  }

  // Faces are looked for from the first photo on; the last request, when all is sent, is the one that must succeed.
  lookSoon() {
    if (performance.now() - (this.looked ?? -LOOK_MS) < LOOK_MS) return;
    this.looked = performance.now();
    this.asking.op("album.process", { album: this.held.batch.album, provisional: true }).catch(() => null);
  }

  process() {
    return this.asking.op("album.process", { album: this.held.batch.album });
  }

  async learnKnown() {
    this.known = new Map();
    for (let offset = 0; ; offset += PAGE) {
      const { photos, total } = await this.asking.op(
        "album.photos",
        { album: this.held.batch.album, offset, limit: PAGE },
        this.stopping.signal,
      );
      photos.forEach((photo) => this.known.set(photo.name, photo));
      if (offset + PAGE >= total) return;
    }
  }

  async isKnown({ file, name }) {
    const there = this.known.get(name);
    if (!there || there.size_bytes !== file.size || !crypto.subtle) return false;
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
    return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("") === there.sha256;
  }

  async sendPhoto(item) {
    const { metadata } = this.held.batch;
    if (!metadata && (await this.isKnown(item))) return { duplicates: 1 };
    const beside = (metadata && item.sidecars) || []; // they follow the photo, and their sizes tell where each begins
    const body = beside.length ? new Blob([item.file, ...beside]) : item.file;
    const { duplicate } = await this.post(
      "/api/album/add",
      {
        name: item.name,
        modified: timeOf(item.file),
        metadata: metadata ? 1 : undefined,
        sidecars: beside.map(({ size }) => size).join(",") || undefined,
      },
      body,
    );
    return duplicate ? { duplicates: 1 } : { added: 1 };
  }

  async sendZip(file) {
    const metadata = this.held.batch.metadata ? 1 : undefined;
    const keys = (last) => ({ last: last ? 1 : 0, metadata });
    const { ingested } = await this.sendPieces(file, "/api/album/zip", keys, (taken) => taken.ingested);
    const { added, duplicates, skipped: refused, skipped_total: refusals } = ingested;
    return { added, duplicates, refused, refusals };
  }

  async sendVideo({ file, name }) {
    const keys = () => ({ name, size: file.size, modified: timeOf(file) });
    const { added } = await this.sendPieces(file, "/api/album/video", keys, (taken) => taken.added);
    return added.duplicate ? { duplicates: 1 } : { added: 1 };
  }

  // Resolves to the answer to the last piece, which `isDone`. `keysOf(last)`: what a piece says besides its place.
  async sendPieces(file, path, keysOf, isDone) {
    let { upload = "", received = 0 } = (await this.held.place(file)) ?? {};
    this.parts.set(file, received);
    this.clock();
    for (let fresh = !upload; ;) {
      const piece = file.slice(received, received + PIECE);
      const last = received + piece.size >= file.size;
      // Its answer comes when all is added
      const looking = last ? setInterval(() => this.lookSoon(), LOOK_MS) : null;
      try {
        const place = { upload: upload || undefined, offset: received };
        const taken = await this.post(path, { ...place, ...keysOf(last) }, piece);
        ({ upload, received } = taken);
        if (isDone(taken)) {
          await this.held.keepPlace(file, null);
          return taken;
        }
      } catch (error) {
        if (error.name === "AbortError" || ENDS_ALL.has(error.code)) throw error;
        await this.held.keepPlace(file, null);
        if (fresh || error.code !== "invalid_request") throw error;
        fresh = true; // the server has forgotten the upload: start again
        [upload, received] = ["", 0];
        continue;
      } finally {
        clearInterval(looking);
        this.parts.set(file, received);
      }
      await this.held.keepPlace(file, { upload, received });
      this.onchange(this);
    }
  }

  post(path, keys, body) {
    return this.patiently(
      () =>
        this.asking.upload(
          path,
          { album: this.held.batch.album, ...keys },
          body,
          this.maxPicture,
          this.stopping.signal,
        ),
      body,
    );
  }

  // Retries until there is an answer; sending twice is harmless. `body`: must be readable for that.
  async patiently(ask, body = null) {
    for (let wait = PAUSE_MS.first; ; wait = Math.min(2 * wait, PAUSE_MS.longest)) {
      this.stopping.signal.throwIfAborted();
      try {
        const answer = await ask();
        if (this.waitsFor) {
          this.waitsFor = null;
          this.clock();
        }
        return answer;
      } catch (error) {
        if (!AWAY.has(error.code)) throw error;
        if (error.code === "gateway" && body) await readable(body); // a deleted file looks like a lost gateway
        this.waitsFor = error;
        this.onchange(this);
      }
      await this.sleep(wait);
    }
  }

  sleep(ms) {
    return new Promise((/** @type {(value?: undefined) => void} */ resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.sleepers.delete(end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      this.sleepers.add(end);
    });
  }
}

async function readable(blob) {
  try {
    await blob.slice(0, 1).arrayBuffer();
  } catch {
    throw new ApiError("unreadable", "It can no longer be read: it was moved, changed or deleted.");
  }
}
