// @ts-check
// The albums: list and create.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { address, changesAlbums, op } from "./api.js";
import { sentOf } from "./batches.js";
import { whenChangedElsewhere } from "./changes.js";
import { failed, whenOnline } from "./shell.js";
import { follow, uploads } from "./uploading.js";
import { button, byId, errorState, loading, picture, render, state } from "./view.js";
import { megabytes, named, plural, share } from "./words.js";

const PAGE = 100;
const FACES = 4;
let shown = PAGE;
let listed = null; // {albums, total}
let problem = null; // why there is no list
const faces = new Map(); // some of each album, by its name

async function load({ again = false } = {}) {
  draw();
  try {
    const now = await op("album.list", { limit: shown });
    if (again && JSON.stringify(now.albums) === JSON.stringify(listed?.albums)) return;
    listed = now;
    problem = null;
    listed.albums.filter(({ people }) => people).forEach(({ album }) => loadFaces(album));
  } catch (error) {
    if (again) return; // the banner says so
    listed = null;
    problem = error;
  }
  draw();
}

async function loadFaces(album) {
  try {
    const { people } = await op("album.people", { album, limit: FACES });
    faces.set(
      album,
      people.map(({ face }) => face),
    );
    draw();
  } catch {
    // decorative only: the album itself reports its problems
  }
}

function draw() {
  if (listed) render(plural(listed.total, "album"), byId("count"));
  else if (problem) render(null, byId("count"));
  render(
    listed ? list(listed) : problem ? errorState(problem, load) : loading(byId("list"), PLACEHOLDERS),
    byId("list"),
  );
}

const PLACEHOLDERS = { minWidth: 290, height: 180, count: 4 };

const list = ({ albums, total }) =>
  html`${total ? html`<div class="album-list">${repeat(albums, ({ album }) => album, card)}</div>` : none()}
  ${total > albums.length ? more(Math.min(PAGE, total - albums.length)) : nothing}`;

const none = () =>
  state(
    "albums",
    "No album yet",
    changesAlbums
      ? "Name one above, and then drop photos, a whole folder or a ZIP into it. Everybody in it is found for you."
      : "Your token sees none.",
  );

function more(count) {
  const onclick = () => {
    shown += PAGE;
    load();
  };
  return html`<div class="row center more">${button(`Show ${count} more`, { onclick })}</div>`;
}

function card({ album, photos, size_bytes: bytes, processing, waiting, people, named: called }) {
  const work = processing ? ` · ${plural(waiting, "photo")} to process` : "";
  return html`<a class="card album-card" href=${address("/album", { album })}>
    <div class="album-faces" aria-hidden="true">
      ${
        people
          ? faces.get(album)?.map((face) => picture(address("/api/album/face", { album, face, size: 192 })))
          : nothing
      }
    </div>
    <div class="album-text">
      <h2>${named(album)}</h2>
      <p>${plural(photos, "photo")}, ${megabytes(bytes)}${work}</p>
      <p>${people ? `${plural(people, "person", "people")}, ${called} named` : "nobody found yet"}</p>
      <p data-uploads=${album}>${uploadsInto(album)}</p>
    </div>
  </a>`;
}

function uploadsInto(wanted) {
  const mine = uploads().filter(({ state, album }) => state === "ready" && album === wanted);
  const sum = (of) => mine.reduce((total, one) => total + of(one), 0);
  const bytes = sum((one) => one.bytes);
  return mine.length ? `uploading, ${share(sum(sentOf) / Math.max(1, bytes))} of ${megabytes(bytes)}` : nothing;
}

byId("create").hidden = !changesAlbums;
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
follow(draw);
whenChangedElsewhere(() => load({ again: true }));
whenOnline(load);
