// The albums: list and create.

import { address, op } from "./api.js";
import { button, byId, el, errorState, megabytes, percent, plural, redraw, state } from "./dom.js";
import { loading, picture } from "./grid.js";
import { failed, whenOnline } from "./shell.js";
import { follow, uploads } from "./uploading.js";

const PAGE = 100;
const FACES = 4;
let shown = PAGE;

async function load() {
  const list = byId("list");
  if (!list.firstChild) loading(list, { minWidth: 290, height: 180, count: 4 });
  try {
    const { albums, total } = await op("album.list", { limit: shown });
    byId("count").textContent = plural(total, "album");
    redraw(list, total ? el("div", { class: "album-list" }, albums.map(card))
      : state("albums", "No album yet", "Name one above, and then drop photos, a whole folder or a ZIP into it. Everybody in it is found for you."),
    total > albums.length ? el("div", { class: "row center more" }, button(`Show ${Math.min(PAGE, total - albums.length)} more`, { onclick: () => { shown += PAGE; load(); } })) : null);
  } catch (error) {
    byId("count").textContent = "";
    list.replaceChildren(errorState(error, load));
  }
  showUploads();
}

function showUploads() {
  const now = uploads().filter(({ state }) => state === "ready");
  byId("list").querySelectorAll("[data-uploads]").forEach((line) => {
    const mine = now.filter(({ album }) => album === line.dataset.uploads);
    const sum = (key) => mine.reduce((total, one) => total + one[key], 0);
    line.textContent = mine.length ? `uploading, ${percent(sum("sent") / Math.max(1, sum("bytes")))} of ${megabytes(sum("bytes"))}` : "";
  });
}

function card(album) {
  const faces = el("div", { class: "album-faces", "aria-hidden": "true" });
  const work = album.processing ? ` · ${plural(album.waiting, "photo")} to look at` : "";
  const people = album.people ? `${plural(album.people, "person", "people")}, ${album.named} with a name` : "nobody found yet";
  if (album.people) showFaces(faces, album.album);
  return el("a", { class: "card album-card", href: address("/album", { album: album.album }) }, faces,
    el("div", { class: "album-text" }, el("h2", {}, album.album), el("p", {}, `${plural(album.photos, "photo")}, ${megabytes(album.size_bytes)}${work}`), el("p", {}, people), el("p", { data: { uploads: album.album } })));
}

async function showFaces(container, album) {
  try {
    const { people } = await op("album.people", { album, limit: FACES });
    container.replaceChildren(...people.map((person) => picture(address("/api/album/face", { album, face: person.face, size: 192 }))));
  } catch {
    // decorative only: the album itself reports its problems
  }
}

byId("create").addEventListener("submit", async (event) => {
  event.preventDefault();
  const album = byId("new-name").value.trim();
  if (!album) return;
  try {
    const made = await op("album.create", { album });
    location.assign(address("/album", { album: made.album }));
  } catch (error) {
    failed(error);
  }
});
follow(showUploads);
whenOnline(load);
