// @ts-check
// The photos of an album: a grid of thumbnails, a lightbox, and unreadable files.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { address, changesAlbums, everything, op } from "./api.js";
import { inUse, ofAlbum, tellChange } from "./changes.js";
import { dateRange } from "./date_range.js";
import { ask } from "./dialogs.js";
import { favouriteTool, labelled, mark } from "./favourites.js";
import { Grid } from "./grid.js";
import { later } from "./later.js";
import { photoHash, placeOf } from "./photo_address.js";
import { Selection } from "./selection.js";
import { failed, notice } from "./shell.js";
import { dayName, timeline } from "./timeline.js";
import { button, errorState, loading, picture, render, state } from "./view.js";
import { clock, isolated, megabytes, plural, whole } from "./words.js";

const SHOWN = [
  ["all", "All", "photos"],
  ["faces", "With faces", "with_faces"],
  ["no_faces", "Without faces", "without_faces"],
  ["unreadable", "Unreadable", "unreadable"],
  ["waiting", "Waiting", "waiting"],
];
const ARRIVALS_MS = 3000;
const SHOWABLE = /\.(jpe?g|png|webp|gif|bmp)$/i; // by browsers; others are requested as JPEG

export function showPhotos(container, context) {
  let shown = "all";
  let favourites = false;
  let grid = null;
  let arrivals = null;
  const dates = dateRange(() => show({}));
  const room = document.createElement("div"); // the grid's own

  function draw() {
    const { info } = context;
    const offered = SHOWN.filter(([key, , count]) => key === "all" || info[count]);
    render(
      html`<div class="photos-tools">
          <div class="chips" role="group" aria-label="Which photos">
            ${repeat(
              offered,
              ([key]) => key,
              ([key, label, count]) => chip(label, info[count], key === shown, () => show({ which: key })),
            )}
            ${
              info.favourites || favourites
                ? chip("Favourites", info.favourites, favourites, () => show({ favourite: !favourites }))
                : nothing
            }
          </div>
          ${dates.element}
        </div>
        <p class="sub arriving" role="status" ?hidden=${!context.arriving}>
          Photos are arriving, and appear here as they do.
        </p>
        ${room}`,
      container,
    );
  }

  const chip = (label, count, pressed, onclick) =>
    html`<button type="button" aria-pressed=${pressed} @click=${onclick}>${label} ${whole(count)}</button>`;

  function show({ which = shown, favourite = favourites }) {
    shown = which;
    favourites = favourite;
    draw();
    grid?.close();
    const days = { since: dates.since(), until: dates.until() };
    grid = photoGrid(room, context, { show: shown, favourites, ...days }, { byDay: true });
  }

  // What arrives is shown a few seconds later, all at once: not while a photo is open, whose neighbours would move.
  function arrived() {
    draw();
    arrivals ??= setTimeout(() => {
      arrivals = null;
      if (!inUse(container)) grid?.refresh();
    }, ARRIVALS_MS);
  }

  show({});
  return {
    close: () => {
      clearTimeout(arrivals);
      grid?.close();
    },
    online: () => grid?.online(),
    refreshed: draw,
    stale: (finished) => {
      if (!finished) arrived();
      else if (!inUse(container)) show({});
    },
  };
}

// Shows the album's photos, all or some (`which`: keys of album.photos), in `container`; `byDay`: under the days, with
// a timeline. {close} ends it, {online} retries, {refresh} shows what was added since, without a flicker.
export function photoGrid(container, context, which, { byDay = false } = {}) {
  const { album } = context;
  const asked = { album, ...which, order: byDay ? "days" : "name" };
  let grid = null;
  let line = null;
  let closed = false;
  let broken = false;

  async function load({ quiet = false } = {}) {
    if (closed) return;
    broken = false;
    if (!quiet) render(loading(container, { height: 150 }), container);
    try {
      const [{ photos, total }, days] = await Promise.all([
        op("album.photos", { ...asked, limit: 200 }),
        byDay ? everything("album.days", "days", { album, ...which }) : null,
      ]);
      if (closed) return;
      grid?.close();
      line?.close();
      grid = line = null;
      if (!total) {
        render(none(), container);
        return;
      }
      const room = document.createElement("div"); // the grid's own
      const mine = (grid = new Grid(room, {
        label: "Photos",
        minWidth: 150,
        gap: 6,
        cellHeight: (width) => Math.round(width),
        load: async (offset, limit, signal) => (await op("album.photos", { ...asked, offset, limit }, signal)).photos,
        cell: (photo, index) =>
          html`<div class="pick-cell" .style=${"height: 100%"}>
            ${photoTile(album, photo, () => openPhotos(context, index, total, (place) => mine.item(place)))}
            ${selection.box(photo, `Choose ${isolated(photo.name)}`)}
          </div>`,
      }));
      const selection = new Selection(mine, {
        id: ({ photo }) => photo,
        what: ["photo", "photos"],
        actions: (photos) => photoActions(context, selection, photos, load),
      });
      line = days && timeline(days, () => mine.heads);
      render([selection.bar, line ? html`<div class="by-day">${line.element}${room}</div>` : room], container);
      // Where no day is known, there is nothing to put in sections
      mine.show(
        total,
        photos,
        days?.some(({ day }) => day) ? days.map(({ day, photos: count }) => ({ title: dayName(day), count })) : null,
      );
    } catch (error) {
      broken = !quiet;
      if (!closed && !quiet)
        render(
          errorState(error, () => load()),
          container,
        );
    }
  }

  function none() {
    if (which.favourites) return state("search", "No favourites here", "Mark photos with the heart beside them.");
    if (which.since || which.until)
      return state("search", "No photos of these days", "Photos whose day is unknown are not among those of any day.");
    return state(
      "albums",
      "No photos here",
      changesAlbums ? "Drop photos, a folder or a ZIP anywhere on this page." : "Nobody has added any yet.",
      changesAlbums ? button("Add photos", { name: "upload", kind: "primary", onclick: context.addFiles }) : null,
    );
  }

  load();
  return {
    close: () => {
      closed = true;
      line?.close();
      grid?.close();
    },
    online: () => {
      if (broken) load();
    },
    refresh: () => load({ quiet: true }),
  };
}

function photoActions(context, selection, photos, onremoved) {
  const favourite = !photos.every((one) => one.favourite);

  async function removeThem() {
    const count = plural(photos.length, "photo");
    const sure = await ask({
      title: `Remove ${count}?`,
      text: "They and the faces in them leave this album. This can't be undone.",
      action: `Remove ${count}`,
      danger: true,
    });
    if (!sure) return;
    try {
      await op("album.remove", { album: context.album, photos: photos.map(({ photo }) => photo) });
      notice(`${count} removed.`);
      tellChange(ofAlbum(context.album));
      onremoved();
      context.refresh();
    } catch (error) {
      failed(error);
    }
  }

  const save = button("Download", {
    name: "download",
    small: true,
    onclick: () => context.download({ photos: photos.map(({ photo }) => photo) }),
  });
  return !changesAlbums
    ? [save]
    : [
        button(favourite ? "Favourites" : "No favourites", {
          name: "heart",
          small: true,
          onclick: async () => {
            if (await mark(context, photos, favourite)) selection.draw();
          },
        }),
        save,
        button("Remove …", { name: "trash", kind: "danger", small: true, onclick: removeThem }),
      ];
}

export function photoTile(album, photo, onopen, note = "") {
  const words =
    note ||
    { unreadable: "unreadable", no_faces: "no face", waiting: "waiting" }[photo.state] ||
    (photo.faces > 1 ? whole(photo.faces) : "");
  const film = photo.seconds === null ? null : clock(photo.seconds);
  const title =
    `${isolated(photo.name)}${film ? `, a video of ${film}` : ""}` + (photo.reason ? `: ${photo.reason}` : "");
  const label = `${title}, ${/^\d+$/.test(words) || !words ? plural(photo.faces, "face") : words}`;
  return html`<button
    type="button"
    class="tile photo-tile"
    title=${title}
    data-photo=${photo.photo}
    ?data-favourite=${photo.favourite}
    aria-label=${labelled(label, photo.favourite)}
    @click=${onopen}
  >
    <span class="tile-picture">
      ${photo.state === "unreadable" ? nothing : picture(posterAddress(album, photo, 320))}
    </span>
    ${film ? html`<span class="tile-film" aria-hidden="true">▶ ${film}</span>` : nothing}
    ${words ? html`<span class="tile-note" aria-hidden="true">${words}</span>` : nothing}
  </button>`;
}

// A video's picture is another one once its faces were found, so the address must be, too: browsers keep what it gives.
const posterAddress = (album, { photo, state, seconds }, size) =>
  address("/api/album/photo", { album, photo, size, ...(seconds === null ? {} : { of: state }) });

const TIME = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" });
const DATE = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeZone: "UTC" });

// By the clock of the place where it was taken, whatever the zone here.
const whenTaken = ({ taken }) =>
  taken.length > 10 ? TIME.format(new Date(`${taken.slice(0, 19)}Z`)) : DATE.format(new Date(`${taken}T00:00Z`));

// Opens the photo that the page's address names, by itself; false if it is gone.
export async function openLinked(context, number) {
  const { album } = context;
  const { photos } = await op("album.photos", { album, contains: String(number), limit: 200 });
  const found = photos.find(({ photo }) => photo === number);
  if (found) await openPhotos(context, 0, 1, async () => found);
  return Boolean(found);
}

const viewer = later(async () => {
  const modules = [
    import("./lightbox.js"),
    import("./lightbox_tools.js"),
    import("./drawing.js"),
    import("./name_here.js"),
  ];
  return Object.assign({}, ...(await Promise.all(modules)));
});
let opening = false;

// Opens a lightbox at one of `total` photos; `item(index)` resolves to a photo, `facesOf(photo)` to the faces found by
// a search.
export async function openPhotos(context, index, total, item, facesOf = null) {
  if (opening) return;
  opening = true;
  const { view } = placeOf(location.hash);
  try {
    const code = await viewer();
    if (placeOf(location.hash).view === view) lightboxOf(code, context, total, item, facesOf).open(index);
  } catch (error) {
    failed(error);
  } finally {
    opening = false;
  }
}

function lightboxOf(
  { Lightbox, FaceDrawing, namesTool, slideshowTool, fullScreenTool },
  context,
  total,
  item,
  facesOf,
) {
  const { album } = context;
  let altered = false; // faces were drawn
  const lightbox = new Lightbox({
    total,
    item: async (index) => {
      const photo = await item(index);
      return (
        photo && {
          ...photo,
          source: photo,
          facts: [
            ...(photo.taken ? [whenTaken(photo)] : []),
            ...(photo.seconds === null ? [] : [clock(photo.seconds)]),
            `${photo.width} × ${photo.height}`,
            megabytes(photo.size_bytes),
          ].join(", "),
          full: posterAddress(album, photo, photo.seconds === null && SHOWABLE.test(photo.name) ? 0 : 2048),
          film: photo.seconds === null ? null : address("/api/album/photo", { album, photo: photo.photo }),
        }
      );
    },
    save: (photo) => address("/api/album/photo", { album, photo: photo.photo, save: 1 }),
    hash: (photo) => photoHash(photo.photo),
    away: placeOf(location.hash).view,
    tools: [...(changesAlbums ? [favouriteTool(context), namesTool(context)] : []), slideshowTool(), fullScreenTool()],
    faces: async (photo) => (facesOf ?? allFaces)(photo),
    drawing:
      facesOf || !changesAlbums
        ? null
        : (shown) =>
            new FaceDrawing(album, shown, async () => {
              altered = true;
              await shown.showFaces();
            }),
  });
  lightbox.dialog.addEventListener("close", () => {
    if (altered) context.changed();
  });
  return lightbox;

  async function allFaces(photo) {
    const { faces } = await op("album.faces", { album, photo: photo.photo });
    // A video shows the frame of its best face, which comes first; the others are elsewhere in it.
    return faces.map((face) => ({
      face: face.face,
      drawn: face.drawn,
      elsewhere: face.at !== faces[0].at,
      seen: face.seen,
      box: face.box,
      label: face.name,
      decision: face.name ? "match" : "plain",
      title: face.name ? isolated(face.name) : "Somebody without a name",
      href: face.person === null ? null : `#/person/${face.person}`,
    }));
  }
}
