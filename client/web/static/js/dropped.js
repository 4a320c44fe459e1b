// @ts-check
// Dropped or chosen files, including folders' contents. `items`: {file, name, sidecars: the XMP files beside it, if
// names are taken from metadata} of every photo, video and ZIP; `others`: names
// of files that are none of these; `service`: counts of files and folders left by systems (protocol/clutter.py).

import { wantsMetadata } from "./batches.js";
import { isClutter, isKept } from "./formats.js";

const LARGEST_SIDECAR = 2 * 1024 * 1024; // bytes: protocol/albums/adding.py
const newFound = () => ({ items: [], others: [], service: 0, sidecars: new Map() });

export const isZip = (file) => /\.zip$/i.test(file.name) || file.type === "application/zip";

export async function chosen(files) {
  const found = newFound();
  const passed = new Set(); // for a chosen folder, browsers list every file, including those in service folders
  for (const file of [...files]) {
    const name = file.webkitRelativePath || file.name;
    const parts = name.split("/");
    const place = file.webkitRelativePath ? parts.findIndex((part, at) => at > 0 && isClutter(part)) : -1;
    if (place < 0) await sort(file, name, found);
    else passed.add(parts.slice(0, place + 1).join("/"));
  }
  found.service = passed.size;
  return withSidecars(withoutFilms(found));
}

export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return chosen(transfer.files);
  const found = newFound();
  for (const entry of entries) await walk(entry, found);
  return withSidecars(withoutFilms(found));
}

// Without the films of Live Photos, .mov beside a picture of that name, which count as their stills
// (protocol/formats.py).
function withoutFilms(found) {
  const stem = (name) => name.replace(/\.[^./]+$/, "").toLowerCase();
  const stills = new Set(
    found.items.filter(({ name }) => /\.(heic|heif|jpe?g)$/i.test(name)).map(({ name }) => stem(name)),
  );
  return { ...found, items: found.items.filter(({ name }) => !/\.mov$/i.test(name) || !stills.has(stem(name))) };
}

function withSidecars({ sidecars, ...found }) {
  const beside = (name) =>
    [...new Set([name, name.replace(/\.[^./]+$/, "")])]
      .map((stem) => sidecars.get(`${stem}.xmp`.toLowerCase()))
      .filter(Boolean);
  return sidecars.size
    ? { ...found, items: found.items.map((item) => ({ ...item, sidecars: beside(item.name) })) }
    : found;
}

async function sort(file, name, found) {
  if (wantsMetadata() && /\.xmp$/i.test(name)) {
    if (file.size <= LARGEST_SIDECAR) found.sidecars.set(name.toLowerCase(), file);
    return;
  }
  if (isZip(file) || (await isKept(file))) found.items.push({ file, name });
  else found.others.push(name);
}

async function walk(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => {
      entry.file(resolve, reject);
    });
    await sort(file, entry.fullPath.replace(/^\//, ""), found);
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    // a reader returns a hundred entries at a time
    const some = await new Promise((resolve, reject) => {
      reader.readEntries(resolve, reject);
    });
    if (!some.length) return;
    for (const one of some) {
      if (isClutter(one.name)) found.service += 1;
      else await walk(one, found);
    }
  }
}
