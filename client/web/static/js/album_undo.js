// @ts-check
// Takes one change of an album back, and says in words why that was not possible.

import { op } from "./api.js";

// Undoes the change with this number, and no other that came after it. Rejects with the reason in words.
export async function takeBack(album, event) {
  try {
    return await op("album.undo", { album, last: event });
  } catch (error) {
    if (error.code === "conflict") error.message = await reason(album, event).catch(() => error.message);
    throw error;
  }
}

async function reason(album, event) {
  const { events } = await op("album.history", { album, limit: 200 });
  if (events.find((one) => one.event === event)?.undone) return "This has been undone already.";
  const later = events.find((one) => !one.undone);
  return later
    ? `Nothing was undone: another change came later (${later.done}). Undo that one first.`
    : "There is nothing to undo.";
}
