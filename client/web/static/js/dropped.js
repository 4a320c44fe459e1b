// What somebody dropped or chose: {items, others}. `items` are {file, name} of every photo and ZIP, folders and all that
// is in them; `others` the names of the files that are neither.

import { isPicture } from "./formats.js";

export const isZip = (file) => /\.zip$/i.test(file.name) || file.type === "application/zip";

const isHidden = (name) => name.split("/").some((part) => part.startsWith("."));

export async function chosen(files) {
  const found = { items: [], others: [] };
  for (const file of [...files]) await sort(file, file.webkitRelativePath || file.name, found);
  return found;
}

export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return chosen(transfer.files);
  const found = { items: [], others: [] };
  for (const entry of entries) await walk(entry, found);
  return found;
}

async function sort(file, name, found) {
  if (isZip(file) || await isPicture(file)) found.items.push({ file, name });
  else if (!isHidden(name)) found.others.push(name);
}

async function walk(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => { entry.file(resolve, reject); });
    await sort(file, entry.fullPath.replace(/^\//, ""), found);
    return;
  }
  const reader = entry.createReader();
  for (;;) {  // a reader gives a hundred at a time
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!some.length) return;
    for (const one of some) await walk(one, found);
  }
}
