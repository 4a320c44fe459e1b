// @ts-check
// The formats of pictures and videos: the table of protocol/formats.py, included in every page's head.

import { isOne, isolated, whole } from "./words.js";

let read = null;

function table() {
  if (!read) {
    read = JSON.parse(document.querySelector("meta[name=picture-formats]").getAttribute("content"));
    for (const signature of [...read.signatures, ...read.videos.signatures])
      for (const magic of signature) magic.bytes = magic.hex.match(/../g).map((pair) => parseInt(pair, 16));
  }
  return read;
}

export const formatNames = () => table().names;
export const acceptPictures = () => table().accept;
export const acceptKept = () => table().videos.accept; // what albums keep: pictures and videos

// Judged by name, or else by the first bytes. An unreadable file counts as a picture, so that its error is reported.
export const isPicture = (file) => isOneOf(table(), file);
export const isKept = async (file) => (await isPicture(file)) || isOneOf(table().videos, file);

async function isOneOf({ extensions, signatures }, file) {
  const name = file.name.toLowerCase();
  if (extensions.some((extension) => name.endsWith(extension))) return true;
  try {
    const head = new Uint8Array(await file.slice(0, table().head).arrayBuffer());
    return signatures.some((signature) =>
      signature.every(({ offset, bytes }) => bytes.every((byte, place) => head[offset + place] === byte)),
    );
  } catch {
    return true;
  }
}

// Was a file or folder of this name left by a system or a program (@eaDir, Thumbs.db, hidden ones)?
export function isClutter(name) {
  const { exact, anyCase, pattern } = table().clutter;
  return (
    name.startsWith(".") ||
    exact.includes(name) ||
    anyCase.includes(name.toLowerCase()) ||
    new RegExp(pattern, "i").test(name)
  );
}

// A message about ignored files; null if there are none.
export function leftOut(names, service = 0) {
  const passed = service
    ? `${whole(service)} service ${isOne(service) ? "file or folder" : "files and folders"} left out.`
    : "";
  if (!names.length) return passed || null;
  const shown =
    names.slice(0, 5).map(isolated).join(", ") + (names.length > 5 ? ` and ${whole(names.length - 5)} more` : "");
  const files = isOne(names.length) ? "1 file that is" : `${whole(names.length)} files that are`;
  return `Left out ${files} not a picture: ${shown}. ${formatNames()} are read. ${passed}`.trim();
}
