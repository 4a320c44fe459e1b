// What was dropped at once, and what has become of it: a plain record, so that a browser can keep it.

export const MOST_REASONS = 100;  // kept; all are counted

// `files`, `bytes`: of everything; `copied`: files that wait where they can be sent from; `done`: files that need nothing
// more, `sent` their bytes; `state`: ready, stopped (somebody, or something, did that: `problem` says what), or finished.
export function newBatch(album, items) {
  return {
    id: crypto.randomUUID?.() ?? String(Math.random()), since: Date.now(), album, state: "ready", problem: null,
    files: items.length, bytes: items.reduce((sum, { file }) => sum + file.size, 0), copied: 0,
    done: 0, sent: 0, added: 0, duplicates: 0, refused: [], refusals: 0,
  };
}

// Counts a file of `bytes` that needs nothing more. `refused`: [{name, reason}] of the photos in it, `refusals` of them in all.
export function tally(batch, bytes, { added = 0, duplicates = 0, refused = [], refusals = refused.length }) {
  batch.done += 1;
  batch.sent += bytes;
  batch.added += added;
  batch.duplicates += duplicates;
  batch.refused = [...batch.refused, ...refused].slice(0, MOST_REASONS);
  batch.refusals += refusals;
}

// Under which the place is kept where a ZIP goes on.
export const zipKey = (album, { name, size, lastModified }) => `zip:${album}:${name}:${size}:${lastModified}`;

// A batch that lies only in the page's memory; see outbox.js for one that outlives it.
export class HeldBatch {
  constructor(album, items, isZip) {
    this.batch = { ...newBatch(album, items), copied: items.length };
    this.waiting = [items.filter(({ file }) => !isZip(file)), items.filter(({ file }) => isZip(file))];
  }

  // The next photo, or the next ZIP; undefined where there is none.
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
