// @ts-check
// Files to be uploaded, copied into the browser's own database (IndexedDB), so that they outlive the page.
//
//   batches   files dropped together, and their progress (batches.js)
//   files     {batch, zip: 0 or 1, number, name, file, sidecars} of those still to be sent; a row is deleted in the
//             transaction that counts its file as done, so nothing is lost or counted twice if a worker is stopped
//   places    where to resume a ZIP: {upload, received} by key

import { newBatch, tally, zipKey } from "./batches.js";

const NAME = "facewire-outbox";
const AT_ONCE = { files: 50, bytes: 32 * 1024 * 1024 }; // copied by one transaction
const LOOK_MS = 200;
const SPARE = 1.1; // factor of space: a database takes a little more than its files

const result = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
const committed = (transaction) =>
  new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(undefined);
    transaction.onabort = () => reject(transaction.error ?? new DOMException("The outbox was cleared.", "AbortError"));
  });

let opening = null;

function database() {
  opening ??= open().catch((error) => {
    opening = null;
    throw error;
  });
  return opening;
}

async function open() {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore("batches", { keyPath: "id" });
    request.result.createObjectStore("files", { keyPath: ["batch", "zip", "number"] });
    request.result.createObjectStore("places");
  };
  const db = await result(request);
  const gone = () => {
    db.close();
    opening = null;
  };
  db.onversionchange = gone;
  db.onclose = gone; // logging out has cleared it
  return db;
}

const reading = async (store) => (await database()).transaction(store).objectStore(store);
const writing = async (...stores) => (await database()).transaction(stores, "readwrite");
const filesOf = (id) => IDBKeyRange.bound([id], [id, []]);
const copyLock = (id) => `facewire-copy-${id}`;

// All batches, oldest first.
export async function batches() {
  return (await result((await reading("batches")).getAll())).sort((one, other) => one.since - other.since);
}

// Is there space for this many more bytes? If the browser does not say, only trying will tell.
export async function hasRoom(bytes) {
  if (!navigator.storage?.estimate) return true;
  const { quota, usage } = await navigator.storage.estimate();
  return bytes * SPARE < quota - usage;
}

// Changes a batch in one transaction; resolves to its new state, or undefined if it is gone. If `change` returns false,
// nothing is changed.
export async function alter(id, change) {
  const transaction = await writing("batches");
  const store = transaction.objectStore("batches");
  const batch = await result(store.get(id));
  if (batch && change(batch) !== false) store.put(batch);
  await committed(transaction);
  return batch;
}

// Deletes a batch and its files. Resolves to whether this call did it, so that only one of several pages reports it.
export async function forget(id) {
  const transaction = await writing("batches", "files");
  const batch = await result(transaction.objectStore("batches").get(id));
  transaction.objectStore("batches").delete(id);
  transaction.objectStore("files").delete(filesOf(id));
  await committed(transaction);
  return batch !== undefined;
}

// Deletes a batch's remaining files, but keeps the batch itself for reporting.
export async function drop(id) {
  const transaction = await writing("files");
  transaction.objectStore("files").delete(filesOf(id));
  await committed(transaction);
}

// Copies files; calls `oncopied(batch)` at the start and after each part. Rejects if the browser can't store them; then
// nothing is kept.
export async function keep(album, items, isZip, oncopied) {
  const batch = newBatch(album, items);
  await navigator.locks.request(copyLock(batch.id), async () => {
    try {
      await add(batch);
      oncopied(batch);
      for (const part of parts(items)) oncopied(await copy(batch.id, part, isZip));
    } catch (error) {
      await forget(batch.id).catch(() => null);
      throw error;
    }
  });
}

async function add(batch) {
  const transaction = await writing("batches");
  transaction.objectStore("batches").add(batch);
  await committed(transaction);
}

function* parts(items) {
  let [part, bytes] = [[], 0];
  for (const [number, item] of items.entries()) {
    part.push({ ...item, number });
    bytes += item.file.size;
    if (part.length < AT_ONCE.files && bytes < AT_ONCE.bytes) continue;
    yield part;
    [part, bytes] = [[], 0];
  }
  if (part.length) yield part;
}

async function copy(id, part, isZip) {
  const transaction = await writing("batches", "files");
  const batch = await result(transaction.objectStore("batches").get(id));
  if (!batch) throw new DOMException("It was cancelled.", "AbortError");
  for (const { file, name, number, sidecars = [] } of part)
    transaction.objectStore("files").put({ batch: id, zip: Number(isZip(file)), number, name, file, sidecars });
  batch.copied += part.length;
  transaction.objectStore("batches").put(batch);
  await committed(transaction);
  return batch;
}

// A batch in the form that uploads.js takes.
export class KeptBatch {
  constructor(batch) {
    this.batch = batch;
    this.next = [0, 0]; // next numbers of photos and of ZIPs
    this.taking = Promise.resolve();
  }

  // The next photo, or the next ZIP; waits while files are being copied; undefined if there is none.
  take(zip) {
    const mine = this.taking.then(() => this.find(Number(zip)));
    this.taking = mine.catch(() => null);
    return mine;
  }

  async find(zip) {
    for (;;) {
      const { id } = this.batch;
      const isCopied = await this.isCopied();
      const range = IDBKeyRange.bound([id, zip, this.next[zip]], [id, zip, Infinity]);
      const [row] = await result((await reading("files")).getAll(range, 1));
      if (row) this.next[zip] = row.number + 1;
      if (row || isCopied) return row;
      await new Promise((resolve) => {
        setTimeout(resolve, LOOK_MS);
      });
    }
  }

  // Are all files here? The page that copies them holds a lock, and may have been closed.
  async isCopied() {
    if (this.batch.copied === this.batch.files) return true;
    const held = !(await navigator.locks.request(
      copyLock(this.batch.id),
      { ifAvailable: true },
      (lock) => lock !== null,
    ));
    const now = await result((await reading("batches")).get(this.batch.id));
    if (!now) throw new DOMException("It was cancelled.", "AbortError");
    this.batch = now;
    return !held || now.copied === now.files;
  }

  async settle(row, outcome) {
    const transaction = await writing("batches", "files");
    const batch = await result(transaction.objectStore("batches").get(row.batch));
    if (!batch) throw new DOMException("It was cancelled.", "AbortError");
    tally(batch, row.file.size, outcome);
    transaction.objectStore("batches").put(batch);
    transaction.objectStore("files").delete([row.batch, row.zip, row.number]);
    await committed(transaction);
    this.batch = batch;
  }

  async place(file) {
    return result((await reading("places")).get(zipKey(this.batch.album, file)));
  }

  async keepPlace(file, place) {
    const transaction = await writing("batches", "places");
    const key = zipKey(this.batch.album, file);
    if (place) transaction.objectStore("places").put(place, key);
    else transaction.objectStore("places").delete(key);
    const batch = await result(transaction.objectStore("batches").get(this.batch.id));
    if (batch) {
      batch.partly = place?.received ?? 0;
      transaction.objectStore("batches").put(batch);
      this.batch = batch;
    }
    await committed(transaction);
  }
}
