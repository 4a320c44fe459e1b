// Questions to the gateway from a page, and whether the server is there.

import { address, Asking } from "./asking.js";

export { address, ApiError } from "./asking.js";

const csrf = document.querySelector('meta[name="csrf-token"]').content;
export const maxPicture = Number(document.body.dataset.maxPicture);  // bytes
let known = document.body.hasAttribute("data-offline") ? "offline" : "online";

export const asking = new Asking(async () => csrf, (code) => {
  if (code === "unauthorized") location.assign("/login");
  if (code === "stale") location.reload();
  if (["online", "offline", "gateway"].includes(code)) tell(code);
});

function tell(now) {
  if (now === known) return;
  known = now;
  document.dispatchEvent(new CustomEvent("facewire:server", { detail: now }));
}

export const connection = () => known;

// An operation of the wire, by its name and keys.
export const op = (name, keys = {}, signal = undefined) => asking.op(name, keys, signal);

// Every item of a list that comes in pages; `key` is what the answer calls them.
export async function everything(name, key, keys = {}) {
  const items = [];
  for (;;) {
    const page = await op(name, { ...keys, offset: items.length, limit: 1000 });
    items.push(...page[key]);
    if (!page[key].length || items.length >= page.total) return items;
  }
}

// Begins to import a folder of the server's own disk; how far the last import into an album is, null where there was none.
export const importFolder = (album, folder) => asking.json("/api/album/import", { album, folder });
export const lastImport = (album) => asking.send(address("/api/album/import", { album }));

// Sent even while the page is being closed.
export const parting = (name, keys) => fetch(`/api/op/${name}`, { method: "POST", body: JSON.stringify(keys), headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf }, credentials: "same-origin", keepalive: true }).catch(() => null);

// A picture as it is.
export const upload = (path, parameters, body, signal = undefined) => asking.upload(path, parameters, body, maxPicture, signal);

// A form with one part of JSON and pictures.
export function form(path, part, keys, pictures = [], signal = undefined) {
  const data = new FormData();
  data.append(part, JSON.stringify(keys));
  pictures.forEach((picture) => data.append("picture", picture, "picture"));
  return asking.send(path, { method: "POST", body: data, signal });
}
