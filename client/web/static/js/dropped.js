// What somebody dropped or chose: {file, name} of every photo and ZIP, folders and all that is in them.

const PICTURE = /\.(jpe?g|png|webp|bmp|tiff?|gif|hei[cf])$/i;

export const isZip = (file) => /\.zip$/i.test(file.name) || file.type === "application/zip";

const isMeant = (file) => PICTURE.test(file.name) || isZip(file);

export function chosen(files) {
  return [...files].filter(isMeant).map((file) => ({ file, name: file.webkitRelativePath || file.name }));
}

export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return chosen(transfer.files);
  const found = [];
  for (const entry of entries) await walk(entry, found);
  return found;
}

async function walk(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => { entry.file(resolve, reject); });
    if (isMeant(file)) found.push({ file, name: entry.fullPath.replace(/^\//, "") });
    return;
  }
  const reader = entry.createReader();
  for (;;) {  // a reader gives a hundred at a time
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!some.length) return;
    for (const one of some) await walk(one, found);
  }
}
