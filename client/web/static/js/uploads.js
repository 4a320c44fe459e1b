// Photos, folders and ZIPs on their way to an album.
//
// What has arrived is kept: whoever drops the same folder or ZIP again, after a lost connection or a closed page, goes
// on where it stopped. A photo that is there already is recognised by its sha256 and not sent; a ZIP goes on at the
// byte that the server has.

import { op, upload } from "./api.js";

const AT_ONCE = 4;
const PIECE = 2 * 1024 * 1024;
const TRIES = 5;
const PICTURE = /\.(jpe?g|png|webp|bmp|tiff?|gif|hei[cf])$/i;
const PAGE = 1000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export const isZip = (file) => /\.zip$/i.test(file.name) || file.type === "application/zip";

// {file, name} of everything dropped, folders and all that is in them.
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return chosen(transfer.files);
  const found = [];
  for (const entry of entries) await walk(entry, found);
  return found;
}

async function walk(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => { entry.file(resolve, reject); });
    if (PICTURE.test(file.name) || isZip(file)) found.push({ file, name: entry.fullPath.replace(/^\//, "") });
    return;
  }
  const reader = entry.createReader();
  for (;;) {  // a reader gives a hundred at a time
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!some.length) return;
    for (const one of some) await walk(one, found);
  }
}

export function chosen(files) {
  return [...files].filter((file) => PICTURE.test(file.name) || isZip(file)).map((file) => ({ file, name: file.webkitRelativePath || file.name }));
}

export class Upload {
  // `onchange(upload)` after every photo and piece: {files, done, bytes, sent, added, duplicates, refused, speed, finished}
  constructor(album, items, onchange) {
    Object.assign(this, { album, items, onchange, done: 0, sent: 0, added: 0, duplicates: 0, refused: [], finished: false, problem: null });
    this.photos = items.filter(({ file }) => !isZip(file));
    this.zips = items.filter(({ file }) => isZip(file));
    this.files = items.length;
    this.bytes = items.reduce((sum, { file }) => sum + file.size, 0);
    this.stopping = new AbortController();
  }

  get secondsLeft() {
    const seconds = (performance.now() - this.begun) / 1000;
    return this.sent ? (this.bytes - this.sent) * seconds / this.sent : NaN;
  }

  get bytesPerSecond() {
    return this.sent / ((performance.now() - this.begun) / 1000);
  }

  stop() {
    this.stopping.abort();
  }

  async run() {
    this.begun = performance.now();
    try {
      await this.learnKnown();
      const queue = [...this.photos];
      await Promise.all(Array.from({ length: AT_ONCE }, async () => {
        while (queue.length && !this.stopping.signal.aborted) await this.sendPhoto(queue.shift());
      }));
      for (const zip of this.zips) await this.sendZip(zip);
    } catch (error) {
      this.problem = error.name === "AbortError" ? new Error("You stopped it.") : error;
      this.stopping.abort();
    }
    this.finished = true;
    this.onchange(this);
  }

  async learnKnown() {
    this.known = new Map();
    if (!this.photos.length || !crypto.subtle) return;
    for (let offset = 0; ; offset += PAGE) {
      const { photos, total } = await op("album.photos", { album: this.album, offset, limit: PAGE }, this.stopping.signal);
      photos.forEach((photo) => this.known.set(photo.name, photo));
      if (offset + PAGE >= total) return;
    }
  }

  async isKnown({ file, name }) {
    const there = this.known.get(name);
    if (!there || there.size_bytes !== file.size) return false;
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
    return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("") === there.sha256;
  }

  async sendPhoto(item) {
    try {
      if (await this.isKnown(item)) this.duplicates += 1;
      else if ((await this.patiently(() => upload("/api/album/add", { album: this.album, name: item.name }, item.file, this.stopping.signal))).duplicate) this.duplicates += 1;
      else this.added += 1;
    } catch (error) {
      if (error.name === "AbortError" || ["offline", "gateway", "unknown_album", "storage"].includes(error.code)) throw error;
      this.refused.push({ name: item.name, reason: error.message });
    }
    this.done += 1;
    this.sent += item.file.size;
    this.onchange(this);
  }

  async sendZip({ file }) {
    const key = `zip:${this.album}:${file.name}:${file.size}:${file.lastModified}`;
    const { id, received } = JSON.parse(localStorage.getItem(key) ?? "{}");
    let [number, offset] = [id ?? "", received ?? 0];
    this.sent += offset;
    for (;;) {
      const piece = file.slice(offset, offset + PIECE);
      const last = offset + piece.size >= file.size;
      let taken;
      try {
        taken = await this.patiently(() => upload("/api/album/zip", { album: this.album, upload: number || undefined, offset, last: last ? 1 : 0 }, piece, this.stopping.signal));
      } catch (error) {
        if (number && error.code === "invalid_request") {  // the server has forgotten that upload: from the beginning
          localStorage.removeItem(key);
          this.sent -= offset;
          [number, offset] = ["", 0];
          continue;
        }
        throw error;
      }
      this.sent += taken.received - offset;
      [number, offset] = [taken.upload, taken.received];
      if (taken.ingested) {
        localStorage.removeItem(key);
        this.added += taken.ingested.added;
        this.duplicates += taken.ingested.duplicates;
        this.refused.push(...taken.ingested.skipped);
        this.done += 1;
        this.onchange(this);
        return;
      }
      localStorage.setItem(key, JSON.stringify({ id: number, received: offset }));
      this.onchange(this);
    }
  }

  // A lost connection is waited out: what was sent twice does no harm.
  async patiently(send) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await send();
      } catch (error) {
        if (attempt === TRIES || this.stopping.signal.aborted || !["offline", "gateway", "busy", "timeout"].includes(error.code)) throw error;
        await pause(500 * 2 ** attempt);
      }
    }
  }
}
