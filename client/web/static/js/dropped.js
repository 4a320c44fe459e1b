// Dropped or chosen files, including folders' contents. `items`: {file, name} of every photo and ZIP; `others`: names
// of files that are neither; `service`: counts of files and folders left by systems (protocol/clutter.py).

import { isClutter, isPicture } from "./formats.js";

export const isZip = (file) => /\.zip$/i.test(file.name) || file.type === "application/zip";

export async function chosen(files) {
  const found = { items: [], others: [], service: 0 };
  const passed = new Set();  // for a chosen folder, browsers list every file, including those in service folders
  for (const file of [...files]) {
    const name = file.webkitRelativePath || file.name;
    const parts = name.split("/");
    const place = file.webkitRelativePath ? parts.findIndex((part, at) => at > 0 && isClutter(part)) : -1;
    if (place < 0) await sort(file, name, found);
    else passed.add(parts.slice(0, place + 1).join("/"));
  }
  found.service = passed.size;
  return found;
}

export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return chosen(transfer.files);
  const found = { items: [], others: [], service: 0 };
  for (const entry of entries) await walk(entry, found);
  return found;
}

async function sort(file, name, found) {
  if (isZip(file) || await isPicture(file)) found.items.push({ file, name });
  else found.others.push(name);
}

async function walk(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => { entry.file(resolve, reject); });
    await sort(file, entry.fullPath.replace(/^\//, ""), found);
    return;
  }
  const reader = entry.createReader();
  for (;;) {  // a reader returns a hundred entries at a time
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!some.length) return;
    for (const one of some) {
      if (isClutter(one.name)) found.service += 1;
      else await walk(one, found);
    }
  }
}
