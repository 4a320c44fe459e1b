// The picture formats: the table of protocol/formats.py, included in every page's head.

let read = null;

function table() {
  if (!read) {
    read = JSON.parse(document.querySelector("meta[name=picture-formats]").content);
    for (const signature of read.signatures) for (const magic of signature) magic.bytes = magic.hex.match(/../g).map((pair) => parseInt(pair, 16));
  }
  return read;
}

export const formatNames = () => table().names;
export const acceptPictures = () => table().accept;

// Judged by name, or else by the first bytes. An unreadable file counts as a picture, so that its error is reported.
export async function isPicture(file) {
  const name = file.name.toLowerCase();
  if (table().extensions.some((extension) => name.endsWith(extension))) return true;
  try {
    const head = new Uint8Array(await file.slice(0, table().head).arrayBuffer());
    return table().signatures.some((signature) => signature.every(({ offset, bytes }) => bytes.every((byte, place) => head[offset + place] === byte)));
  } catch {
    return true;
  }
}

// Was a file or folder of this name left by a system or a program (@eaDir, Thumbs.db, hidden ones)?
export function isClutter(name) {
  const { exact, anyCase, pattern } = table().clutter;
  return name.startsWith(".") || exact.includes(name) || anyCase.includes(name.toLowerCase()) || new RegExp(pattern, "i").test(name);
}

// A message about ignored files; null if there are none.
export function leftOut(names, service = 0) {
  const passed = service ? `${service} service ${service === 1 ? "file or folder" : "files and folders"} left out.` : "";
  if (!names.length) return passed || null;
  const shown = names.slice(0, 5).join(", ") + (names.length > 5 ? ` and ${names.length - 5} more` : "");
  return `Left out ${names.length === 1 ? "1 file that is" : `${names.length} files that are`} not a picture: ${shown}. ${formatNames()} are read. ${passed}`.trim();
}
