// @ts-check
// A batch: files dropped together, and their progress. A plain record, so that the browser can store it.

export const MOST_REASONS = 100; // stored; all are counted
const METADATA = "facewire-metadata";

// Do photos that are added from now on bring the names of faces from their metadata? Kept in this browser; off at
// first.
export const wantsMetadata = () => localStorage.getItem(METADATA) === "1";
export const wantMetadata = (wanted) => localStorage.setItem(METADATA, wanted ? "1" : "0");

// `files`, `bytes`: totals; `copied`: files stored where they can be sent from; `done`: files that need no more work,
// `sent`: their bytes; `partly`: bytes sent of the ZIP under way; `metadata`: the photos bring the names of faces;
// `state`: ready, stopped (by the user, or by a `problem`), or finished.
export function newBatch(album, items) {
  return {
    id: crypto.randomUUID?.() ?? String(Math.random()),
    since: Date.now(),
    album,
    state: "ready",
    problem: null,
    files: items.length,
    bytes: items.reduce((sum, { file }) => sum + file.size, 0),
    copied: 0,
    metadata: wantsMetadata(),
    done: 0,
    sent: 0,
    partly: 0,
    added: 0,
    duplicates: 0,
    refused: [],
    refusals: 0,
  };
}

// Counts a file of `bytes` as done. `refused`: [{name, reason}] of photos in it; `refusals`: their total number.
export function tally(batch, bytes, { added = 0, duplicates = 0, refused = [], refusals = refused.length }) {
  batch.done += 1;
  batch.sent += bytes;
  batch.partly = 0;
  batch.added += added;
  batch.duplicates += duplicates;
  batch.refused = [...batch.refused, ...refused].slice(0, MOST_REASONS);
  batch.refusals += refusals;
}

// Bytes sent so far, whether or not somebody is sending at the moment.
export const sentOf = ({ sent, partly = 0 }) => sent + partly;

// The key under which the position in a ZIP is stored.
export const zipKey = (album, { name, size, lastModified }) => `zip:${album}:${name}:${size}:${lastModified}`;

// A batch in the page's memory only; see outbox.js for one that outlives the page.
export class HeldBatch {
  constructor(album, items, isZip) {
    this.batch = { ...newBatch(album, items), copied: items.length };
    this.waiting = [items.filter(({ file }) => !isZip(file)), items.filter(({ file }) => isZip(file))];
    this.taken = new Map(); // item -> its list, until it is settled
  }

  // What was being sent when the upload stopped waits again.
  again() {
    this.taken.forEach((zip, item) => this.waiting[zip].unshift(item));
    this.taken.clear();
  }

  // The next photo, or the next ZIP; undefined if there is none.
  async take(zip) {
    const item = this.waiting[Number(zip)].shift();
    if (item) this.taken.set(item, Number(zip));
    return item;
  }

  async settle(item, outcome) {
    this.taken.delete(item);
    tally(this.batch, item.file.size, outcome);
  }

  async place(file) {
    return JSON.parse(localStorage.getItem(zipKey(this.batch.album, file)));
  }

  async keepPlace(file, place) {
    this.batch.partly = place?.received ?? 0;
    const key = zipKey(this.batch.album, file);
    if (place) localStorage.setItem(key, JSON.stringify(place));
    else localStorage.removeItem(key);
  }
}
