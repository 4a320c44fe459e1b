// The photos of an album: a grid of thumbnails, a lightbox, and unreadable files.

import { address, op } from "./api.js";
import { button, el, errorState, megabytes, plural, state } from "./dom.js";
import { Grid, loading, picture } from "./grid.js";
import { Lightbox } from "./lightbox.js";

const SHOWN = [["all", "All", "photos"], ["faces", "With faces", "with_faces"], ["no_faces", "Without faces", "without_faces"], ["unreadable", "Unreadable", "unreadable"], ["waiting", "Waiting", "waiting"]];
const SHOWABLE = /\.(jpe?g|png|webp|gif|bmp)$/i;  // by browsers; others are requested as JPEG

export function showPhotos(container, context) {
  let show = "all";
  let grid = null;
  const chips = el("div", { class: "chips", role: "group", "aria-label": "Which photos" });
  const room = el("div", {});
  container.replaceChildren(chips, room);

  function draw() {
    chips.replaceChildren(...SHOWN.filter(([key, , count]) => key === "all" || context.info[count]).map(([key, label, count]) =>
      el("button", { type: "button", "aria-pressed": String(key === show), on: { click: () => { show = key; draw(); } } }, `${label} ${context.info[count].toLocaleString("en")}`)));
    grid?.close();
    grid = photoGrid(room, context, { show });
  }

  draw();
  return { close: () => grid?.close(), stale: (finished) => { if (finished) draw(); }, online: () => grid?.online() };
}

// Shows the album's photos, all or some (`show`, `person`), in `container`. {close} ends it, {online} retries.
export function photoGrid(container, context, which) {
  const { album } = context;
  let grid = null;
  let closed = false;
  let broken = false;

  async function load() {
    broken = false;
    loading(container, { height: 150 });
    try {
      const { photos, total } = await op("album.photos", { album, ...which, limit: 200 });
      if (closed) return;
      if (!total) {
        container.replaceChildren(state("albums", "No photos here", "Drop photos, a folder or a ZIP anywhere on this page.", button("Add photos", { name: "upload", kind: "primary", onclick: context.addFiles })));
        return;
      }
      grid = new Grid(container, {
        label: "Photos", minWidth: 150, gap: 6, cellHeight: (width) => Math.round(width),
        load: async (offset, limit, signal) => (await op("album.photos", { album, ...which, offset, limit }, signal)).photos,
        cell: (photo, index) => photoTile(album, photo, () => openPhotos(album, total, (place) => grid.item(place)).open(index)),
      });
      grid.show(total, photos);
    } catch (error) {
      broken = true;
      if (!closed) container.replaceChildren(errorState(error, load));
    }
  }

  load();
  return { close: () => { closed = true; grid?.close(); }, online: () => { if (broken) load(); } };
}

export function photoTile(album, photo, onopen, note = "") {
  const words = note || { unreadable: "unreadable", no_faces: "no face", waiting: "waiting" }[photo.state] || (photo.faces > 1 ? String(photo.faces) : "");
  const title = `${photo.name}${photo.reason ? `: ${photo.reason}` : ""}`;
  return el("button", { type: "button", class: "tile photo-tile", title, "aria-label": `${title}, ${/^\d+$/.test(words) || !words ? plural(photo.faces, "face") : words}`, on: { click: onopen } },
    el("span", { class: "tile-picture" }, photo.state === "unreadable" ? null : picture(address("/api/album/photo", { album, photo: photo.photo, size: 320 }))),
    words ? el("span", { class: "tile-note", "aria-hidden": "true" }, words) : null);
}

// A lightbox for photos; `item(index)` resolves to a photo, `facesOf(photo)` to the faces found by a search.
export function openPhotos(album, total, item, facesOf = null) {
  return new Lightbox({
    total,
    item: async (index) => {
      const photo = await item(index);
      return photo && { ...photo, facts: `${photo.width} × ${photo.height}, ${megabytes(photo.size_bytes)}`, full: address("/api/album/photo", { album, photo: photo.photo, size: SHOWABLE.test(photo.name) ? 0 : 2048 }) };
    },
    save: (photo) => address("/api/album/photo", { album, photo: photo.photo, save: 1 }),
    faces: async (photo) => (facesOf ?? allFaces)(photo),
  });

  async function allFaces(photo) {
    const { faces } = await op("album.faces", { album, photo: photo.photo });
    return faces.map((face) => ({ box: face.box, label: face.name, decision: face.name ? "match" : "plain", title: face.name ?? "Somebody without a name", href: face.person === null ? null : `#/person/${face.person}` }));
  }
}
