// @ts-check
// Finds people by pictures, from which wrong faces can be excluded; several people together, or any of them.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { everything, form, may, upload } from "./api.js";
import { openPhotos, photoTile } from "./album_photos.js";
import { dateRange } from "./date_range.js";
import { marks } from "./faces.js";
import { acceptPictures } from "./formats.js";
import { Grid } from "./grid.js";
import { failed } from "./shell.js";
import { button, errorState, icon, loading, render, state } from "./view.js";
import { hundredths, isolated, plural, share, whole } from "./words.js";

const PAGE = 100;
const MAX_SAMPLES = 16;

export function showFind(container, context) {
  const { album } = context;
  let wanted = [{ samples: [], people: [] }]; // samples: {file, url, faces, size, left: Set}
  let text = ""; // what the photos show
  let together = "any";
  let show = "all";
  let grid = null;
  let known = [];
  let asked = 0;
  let broken = false;
  let results = NOBODY_WANTED;
  const dates = dateRange(() => search());
  const cells = document.createElement("div"); // the grid's own

  async function loadKnown() {
    try {
      known = (await everything("album.people", "people", { album })).filter((person) => person.name);
      draw();
    } catch (error) {
      failed(error);
    }
  }

  const draw = () =>
    render(
      html`<div class="find">
        <div>${side()}${dates.element}</div>
        <div aria-live="polite">${results}</div>
      </div>`,
      container,
    );

  // ------------------------------------------------------------------------------------------ wanted people

  const side = () =>
    html`<div>
      ${context.info.text_search ? textField() : nothing} ${repeat(wanted, (one) => one, group)}
      <div class="row">${button("And somebody else", { name: "plus", small: true, onclick: addGroup })}</div>
      ${
        wanted.length > 1
          ? html`<fieldset class="choice wanted card">
              <legend class="visually-hidden">Photos that show</legend>
              ${radio("any", "any of them")} ${radio("all", "all of them together")}
            </fieldset>`
          : nothing
      }
    </div>`;

  // Where the server has a model for it.
  const textField = () =>
    html`<section class="card wanted">
      <label class="field">
        <span>What do they show?</span>
        <input
          type="search"
          maxlength="1000"
          dir="auto"
          placeholder="red car by the sea"
          .value=${text}
          @input=${({ target }) => (text = target.value)}
          @change=${search}
        />
      </label>
    </section>`;

  function addGroup() {
    wanted.push({ samples: [], people: [] });
    draw();
  }

  function radio(value, label) {
    const choose = () => {
      together = value;
      search();
    };
    return html`<label>
      <input type="radio" name="together" value=${value} .checked=${together === value} @change=${choose} />${label}
    </label>`;
  }

  function group(one, place) {
    const several = wanted.length > 1;
    const remove = () => {
      wanted = wanted.filter((other) => other !== one);
      search();
    };
    return html`<section class="card wanted" aria-label=${`Wanted ${place + 1}`}>
      <div class="wanted-head">
        <h2>${several ? `Person ${place + 1}` : "Who?"}</h2>
        ${several ? closing(`Without person ${place + 1}`, "quiet", remove) : nothing}
      </div>
      <div class="samples">
        ${repeat(
          one.samples,
          (sample) => sample,
          (sample) => sampleView(one, sample),
        )}
      </div>
      ${may("identify") ? drop(one) : nothing} ${known.length ? choice(one) : nothing}
    </section>`;
  }

  function drop(one) {
    const over = (event) => {
      event.preventDefault();
      event.stopPropagation();
      event.currentTarget.classList.add("dropping");
    };
    const leave = (event) => event.currentTarget.classList.remove("dropping");
    const dropped = (event) => {
      event.preventDefault();
      leave(event);
      document.body.classList.remove("dropping");
      addSamples(one, [...event.dataTransfer.files]);
    };
    const chosen = ({ target }) => {
      addSamples(one, [...target.files]);
      target.value = ""; // the same one may be chosen again
    };
    return html`<label class="drop" @dragover=${over} @dragleave=${leave} @drop=${dropped}>
      <input
        type="file"
        accept=${acceptPictures()}
        multiple
        class="visually-hidden"
        aria-label="Pictures of somebody to find"
        @change=${chosen}
      />
      ${icon("upload")}
      <span><strong>${one.samples.length ? "Add a picture" : "A selfie, or several pictures"}</strong></span>
      <span>of one person; tap a face to leave it out</span>
    </label>`;
  }

  function choice(one) {
    const choose = ({ target }) => {
      one.people = target.value ? [Number(target.value)] : [];
      search();
    };
    return html`<div class="field">
      <select aria-label="Or somebody named in this album" @change=${choose}>
        <option value="" .selected=${!one.people.length}>or somebody named in this album …</option>
        ${known.map(
          ({ person, name }) =>
            html`<option value=${person} .selected=${one.people.includes(person)}>${isolated(name)}</option>`,
        )}
      </select>
    </div>`;
  }

  function sampleView(one, sample) {
    const { file, url, faces, left } = sample;
    const remove = () => {
      one.samples = one.samples.filter((other) => other !== sample);
      search();
    };
    const note = faces.length ? `${faces.length - left.size} of ${plural(faces.length, "face")} included` : NO_FACE;
    return html`<div>
      <div class="sample">
        <img src=${url} alt=${file.name} />
        ${marksOf(sample)} ${closing(`Without ${isolated(file.name)}`, "on-dark", remove)}
      </div>
      ${faces.length === 1 ? nothing : html`<p class=${`sample-note ${faces.length ? "" : "problem"}`}>${note}</p>`}
    </div>`;
  }

  // Buttons on its faces.
  function marksOf({ faces, size, left }) {
    const describe = (_, index) => ({
      label: null,
      decision: left.has(index) ? "plain" : "match",
      title: left.has(index) ? "Left out; look for this face" : "Included; click to leave this face out",
      out: left.has(index),
      pressed: !left.has(index),
    });
    return marks(faces, size, describe, (index) => {
      if (!left.delete(index)) left.add(index);
      search();
    });
  }

  async function addSamples(one, files) {
    for (const file of files.slice(0, MAX_SAMPLES)) {
      try {
        const { faces, image: size } = await upload("/api/detect", {}, file);
        one.samples.push({ file, url: URL.createObjectURL(file), faces, size, left: new Set() });
      } catch (error) {
        failed(error);
      }
    }
    search();
  }

  // ------------------------------------------------------------------------------------------ results

  // The request's `wanted`, and the pictures in the order of its indices.
  function question() {
    const pictures = [];
    const said = wanted
      .map((one) => ({
        people: one.people,
        samples: one.samples
          .filter((sample) => sample.faces.length > sample.left.size)
          .map((sample) => ({ picture: pictures.push(sample.file) - 1, leave_out: [...sample.left] })),
      }))
      .filter((one) => one.people.length || one.samples.length);
    return { said, pictures, words: context.info.text_search ? text.trim() : "" };
  }

  const days = () => ({ since: dates.since(), until: dates.until() });

  function drawResults(content) {
    results = content;
    draw();
  }

  async function search() {
    const mine = ++asked;
    broken = false;
    const { said, pictures, words } = question();
    grid?.close();
    grid = null;
    if (!said.length && !words) {
      drawResults(NOBODY_WANTED);
      return;
    }
    const which = { wanted: said, text: words, together, show: said.length ? show : "all", ...days() };
    const ask = (offset, limit, signal) =>
      form("/api/album/search", "search", { album, ...which, offset, limit }, pictures, signal);
    drawResults(loading(container.querySelector("[aria-live]"), { height: 150 }));
    try {
      const found = await ask(0, PAGE);
      if (mine !== asked) return;
      drawResults(found.solo + found.group ? resultsOf(found, which, pictures) : noneOf(found, said));
      if (found.total) showGrid(found, ask);
    } catch (error) {
      if (mine !== asked) return;
      broken = true;
      drawResults(errorState(error, search));
    }
  }

  function noneOf(found, said) {
    if (!said.length)
      return state(
        "search",
        "No photo can be compared yet",
        "The server still looks at what the photos show. Try again in a while.",
      );
    const missing = missingOf(found);
    return missing.length
      ? state("search", "Not in this album", nobodyLike(found, missing))
      : state("search", "No photo shows them all", "Each is in the album, but never in one photo.");
  }

  function resultsOf(found, which, pictures) {
    const everybody = found.solo + found.group;
    const missing = missingOf(found);
    const first = found.photos.map(({ photo }) => photo.photo);
    const { wanted: said, text: words, ...more } = which;
    const save = words
      ? button(`Download the first ${whole(first.length)}`, {
          name: "download",
          onclick: () => context.download({ photos: first }),
        })
      : button("Download these", {
          name: "download",
          onclick: () => context.download({ wanted: said, ...more }, pictures),
        });
    return html`<div class="head">
        <div>
          <h2>${plural(everybody, "photo")}</h2>
          <p class="sub">${missing.length ? nobodyLike(found, missing) : "The most similar first"}</p>
        </div>
        ${save}
      </div>
      <div class="chips" role="group" aria-label="Which photos" ?hidden=${!said.length}>
        ${chip("all", "All", everybody)} ${chip("solo", "Alone", found.solo)}
        ${chip("group", "With others", found.group)}
      </div>
      ${found.total ? cells : html`<div><p class="sub">None of these.</p></div>`}`;
  }

  function chip(key, label, count) {
    const choose = () => {
      show = key;
      search();
    };
    return html`<button type="button" aria-pressed=${show === key} @click=${choose}>${label} ${whole(count)}</button>`;
  }

  function showGrid(found, ask) {
    const mine = new Grid(cells, {
      label: "Photos found",
      minWidth: 150,
      gap: 6,
      cellHeight: (width) => Math.round(width),
      load: async (offset, limit, signal) => (await ask(offset, limit, signal)).photos,
      cell: (one, index) => photoTile(album, one.photo, () => open(index), hundredths(one.similarity)),
    });
    const item = async (place) => {
      const one = await mine.item(place);
      return one && Object.assign(one.photo, { matches: one.matches });
    };
    const open = (index) => openPhotos(context, index, found.total, item, matchesOf);
    grid = mine;
    grid.show(found.total, found.photos);
  }

  search();
  loadKnown();
  return {
    close: () => grid?.close(),
    online: () => {
      loadKnown();
      if (broken) search();
    },
  };
}

const NO_FACE = "No face in this picture";

const NOBODY_WANTED = state(
  "search",
  "Who are you looking for?",
  "With one picture of somebody you get every photo of theirs. " +
    "With several of the same person, more of them are found.",
);

const closing = (label, kind, onclick) =>
  button("", { name: "close", kind, small: true, "aria-label": label, onclick });

// The numbers of those who aren't in the album.
const missingOf = ({ wanted }) => wanted.map((one, place) => (one.found ? null : place + 1)).filter(Boolean);

const nobodyLike = ({ wanted, error_rate: rate }, missing) =>
  `Nobody here is similar enough${missing.length < wanted.length ? ` to person ${missing.join(", ")}` : ""}. ` +
  `The chance that somebody who isn't in the album is found by mistake: ${share(rate)}.`;

const matchesOf = (photo) =>
  photo.matches.map((match) => ({
    box: match.box,
    decision: "match",
    label: hundredths(match.similarity),
    title:
      `Found: similarity ${hundredths(match.similarity)}` +
      (match.by === "person" ? ", by the other photos of this person" : ""),
    href: match.person === null ? null : `#/person/${match.person}`,
  }));
