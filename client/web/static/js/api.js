// @ts-check
// Requests to the gateway from a page, and the server's availability.

import { address, Asking } from "./asking.js";
import { wantsMetadata } from "./batches.js";
import { answerOf } from "./page_answers.js";

export { address, ApiError } from "./asking.js";

const csrf = document.querySelector('meta[name="csrf-token"]').getAttribute("content");
export const maxPicture = Number(document.body.dataset.maxPicture); // bytes
const rights = document.body.dataset.rights.split(" ");
export const may = (right) => rights.includes(right); // only for what is shown: the server decides
export const changesAlbums = may("albums"); // else they may be looked at
let known = document.body.hasAttribute("data-offline") ? "offline" : "online";

export const asking = new Asking(
  async () => csrf,
  (code) => {
    if (code === "unauthorized") location.assign("/login");
    if (code === "stale") location.reload();
    if (["online", "offline", "gateway"].includes(code)) tell(code);
  },
);

function tell(now) {
  if (now === known) return;
  known = now;
  document.dispatchEvent(new CustomEvent("facewire:server", { detail: now }));
}

export const connection = () => known;

// Runs an operation of the wire protocol, by name and keys; to begin with, the page may have brought the answer.
export const op = async (name, keys = {}, signal = undefined) => answerOf(name, keys) ?? asking.op(name, keys, signal);

// All items of a paged list; `key` is their name in the answer.
export async function everything(name, key, keys = {}) {
  const items = [];
  for (;;) {
    const page = await op(name, { ...keys, offset: items.length, limit: 1000 });
    items.push(...page[key]);
    if (!page[key].length || items.length >= page.total) return items;
  }
}

// Starts to import a folder from the server's own disk; returns the state of the last import into an album, or null.
export const importFolder = (album, folder) =>
  asking.json("/api/album/import", { album, folder, metadata: wantsMetadata() });
export const lastImport = (album) => asking.send(address("/api/album/import", { album }));

// Is sent even while the page is being closed.
export const parting = (name, keys) =>
  fetch(`/api/op/${name}`, {
    method: "POST",
    body: JSON.stringify(keys),
    headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
    credentials: "same-origin",
    keepalive: true,
  }).catch(() => null);

// Sends a picture unchanged.
export const upload = (path, parameters, body, signal = undefined) =>
  asking.upload(path, parameters, body, maxPicture, signal);

// Sends a form with one JSON part and pictures.
export function form(path, part, keys, pictures = [], signal = undefined) {
  const data = new FormData();
  data.append(part, JSON.stringify(keys));
  pictures.forEach((picture) => data.append("picture", picture, "picture"));
  return asking.send(path, { method: "POST", body: data, signal });
}
