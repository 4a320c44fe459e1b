// @ts-check
// Identify's pictures and their answers, kept while this tab is open, so that a link, Back or a reload finds them
// again.
//
// They lie in the browser's own database under a number of the tab. Taking a picture out deletes it, as does logging
// out; those of tabs that were closed go after a day. Where the browser has no such database, nothing is kept.

const NAME = "facewire-identify";
const MOST = { pictures: 100, bytes: 300e6 }; // of one tab
const KEPT_MS = 24 * 3600 * 1000;

const result = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

let opening = null;

async function rows(mode) {
  opening ??= open().catch((error) => {
    opening = null;
    throw error;
  });
  return (await opening).transaction("shots", mode).objectStore("shots");
}

async function open() {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => request.result.createObjectStore("shots", { keyPath: ["tab", "number"] });
  const db = await result(request);
  db.onclose = () => {
    opening = null;
  }; // logging out has cleared it
  return db;
}

function tab() {
  let number = sessionStorage.getItem("facewire-tab");
  if (!number) {
    number = `${Date.now()}-${Math.random()}`;
    sessionStorage.setItem("facewire-tab", number);
  }
  return number;
}

const unlessThereIsNone =
  (work) =>
  async (...given) => {
    try {
      return await work(...given);
    } catch {
      return undefined; // no database, or it is full: the pictures stay on the page
    }
  };

// The pictures of this tab, newest first: {number, file, answer}; forgets those of tabs closed long ago.
export const keptPictures = unlessThereIsNone(async () => {
  const store = await rows("readwrite");
  const mine = tab();
  const found = [];
  for (const row of await result(store.getAll())) {
    if (row.tab === mine) found.push(row);
    else if (Date.now() - row.at > KEPT_MS) store.delete([row.tab, row.number]);
  }
  return found
    .sort((one, other) => other.number - one.number)
    .map(({ number, file, answer }) => ({ number, file, answer }));
});

// Keeps a picture, or what it was answered now; `others`: those kept beside it.
export const keepPicture = unlessThereIsNone(async ({ number, file, answer }, others) => {
  const bytes = others.reduce((sum, other) => sum + other.file.size, file.size);
  if (others.length >= MOST.pictures || bytes > MOST.bytes) return;
  await result((await rows("readwrite")).put({ tab: tab(), number, at: Date.now(), file, answer: answer ?? null }));
});

export const forgetPicture = unlessThereIsNone(async ({ number }) =>
  result((await rows("readwrite")).delete([tab(), number])),
);

// Which picture was shown last; null if none was.
export const shownLast = (number) => {
  if (number === undefined) return Number(sessionStorage.getItem("facewire-shown"));
  sessionStorage.setItem("facewire-shown", number);
  return number;
};
