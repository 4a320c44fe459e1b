// A batch: files dropped together, and their progress. A plain record, so that the browser can store it.

export const MOST_REASONS = 100;  // stored; all are counted

// `files`, `bytes`: totals; `copied`: files stored where they can be sent from; `done`: files that need no more work,
// `sent`: their bytes; `state`: ready, stopped (by the user, or by a `problem`), or finished.
export function newBatch(album, items) {
  return {
    id: crypto.randomUUID?.() ?? String(Math.random()), since: Date.now(), album, state: "ready", problem: null,
    files: items.length, bytes: items.reduce((sum, { file }) => sum + file.size, 0), copied: 0,
    done: 0, sent: 0, added: 0, duplicates: 0, refused: [], refusals: 0,
  };
}

// Counts a file of `bytes` as done. `refused`: [{name, reason}] of photos in it; `refusals`: their total number.
export function tally(batch, bytes, { added = 0, duplicates = 0, refused = [], refusals = refused.length }) {
  batch.done += 1;
  batch.sent += bytes;
  batch.added += added;
  batch.duplicates += duplicates;
  batch.refused = [...batch.refused, ...refused].slice(0, MOST_REASONS);
  batch.refusals += refusals;
}

// The key under which the position in a ZIP is stored.
export const zipKey = (album, { name, size, lastModified }) => `zip:${album}:${name}:${size}:${lastModified}`;

// A batch in the page's memory only; see outbox.js for one that outlives the page.
export class HeldBatch {
  constructor(album, items, isZip) {
    this.batch = { ...newBatch(album, items), copied: items.length };
    this.waiting = [items.filter(({ file }) => !isZip(file)), items.filter(({ file }) => isZip(file))];
  }

  // The next photo, or the next ZIP; undefined if there is none.
  async take(zip) {
    return this.waiting[Number(zip)].shift();
  }

  async settle({ file }, outcome) {
    tally(this.batch, file.size, outcome);
  }

  async place(file) {
    return JSON.parse(localStorage.getItem(zipKey(this.batch.album, file)));
  }

  async keepPlace(file, place) {
    const key = zipKey(this.batch.album, file);
    if (place) localStorage.setItem(key, JSON.stringify(place));
    else localStorage.removeItem(key);
  }
}
