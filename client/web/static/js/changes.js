// @ts-check
// Changes made elsewhere: other tabs of this browser say so at once; those of other machines are looked for when the
// page comes back into view, and now and then while it is viewed.

const LOOK_MS = 15000;
export const GALLERY = "the gallery"; // what a change is of: the gallery, the list of albums, or one album
export const ALBUMS = "the albums";
export const ofAlbum = (album) => `album ${album}`;

const channel = "BroadcastChannel" in window ? new BroadcastChannel("facewire-changes") : null;

// Tells the other tabs, and the status line of this one, what this page has changed.
export function tellChange(what) {
  channel?.postMessage(what);
  document.dispatchEvent(new CustomEvent("facewire:changed", { detail: what }));
}

// Calls `look(what)` when another tab says that it changed something, and `look(null)` when something may have changed.
export function whenChangedElsewhere(look, { often = false } = {}) {
  channel?.addEventListener("message", ({ data }) => {
    document.dispatchEvent(new CustomEvent("facewire:changed", { detail: data }));
    look(data);
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) look(null);
  });
  addEventListener("focus", () => look(null)); // of a window beside another one
  if (often)
    setInterval(() => {
      if (!document.hidden) look(null);
    }, LOOK_MS);
}

// Would a redraw of `container` take something from somebody who is in the middle of it?
export function inUse(container) {
  if (document.querySelector("dialog[open]") || container.querySelector("input.pick:checked")) return true;
  /** @type {any} */
  const field = container.contains(document.activeElement) && document.activeElement.closest("input, select, textarea");
  return Boolean(field && field.value !== (field.defaultValue ?? field.value));
}
