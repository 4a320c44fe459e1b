// Finds people by pictures, from which wrong faces can be excluded; several people together, or any of them.

import { everything, form, upload } from "./api.js";
import { button, el, errorState, icon, percent, plural, redraw, state } from "./dom.js";
import { openPhotos, photoTile } from "./album_photos.js";
import { boxes } from "./faces.js";
import { acceptPictures } from "./formats.js";
import { Grid, loading } from "./grid.js";
import { failed } from "./shell.js";

const PAGE = 100;
const MAX_SAMPLES = 16;

export function showFind(container, context) {
  const { album } = context;
  let wanted = [{ samples: [], people: [] }];  // samples: {file, url, faces, size, left: Set}
  let together = "any";
  let show = "all";
  let grid = null;
  let known = [];
  let asked = 0;
  let broken = false;
  const side = el("div", {});
  const results = el("div", { "aria-live": "polite" });
  container.replaceChildren(el("div", { class: "find" }, side, results));

  async function loadKnown() {
    try {
      known = (await everything("album.people", "people", { album })).filter((person) => person.name);
      drawSide();
    } catch (error) {
      failed(error);
    }
  }

  // ------------------------------------------------------------------------------------------ wanted people

  function drawSide() {
    const several = wanted.length > 1;
    redraw(side, wanted.map(group),
      el("div", { class: "row" }, button("And somebody else", { name: "plus", small: true, onclick: () => { wanted.push({ samples: [], people: [] }); drawSide(); } })),
      several ? el("fieldset", { class: "choice wanted card" }, el("legend", { class: "visually-hidden" }, "Photos that show"), radio("any", "any of them"), radio("all", "all of them together")) : "");
  }

  function radio(value, label) {
    const input = el("input", { type: "radio", name: "together", value });
    input.checked = together === value;
    input.addEventListener("change", () => { together = value; search(); });
    return el("label", {}, input, label);
  }

  function group(one, place) {
    const input = el("input", { type: "file", accept: acceptPictures(), multiple: true, class: "visually-hidden", "aria-label": "Pictures of somebody to find" });
    input.addEventListener("change", () => addSamples(one, input.files));
    const drop = el("label", { class: "drop" }, input, icon("upload"), el("span", {}, el("strong", {}, one.samples.length ? "Add a picture" : "A selfie, or several pictures")),
      el("span", {}, "of one person; tap a face to leave it out"));
    drop.addEventListener("dragover", (event) => { event.preventDefault(); event.stopPropagation(); drop.classList.add("dropping"); });
    drop.addEventListener("dragleave", () => drop.classList.remove("dropping"));
    drop.addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("dropping"); document.body.classList.remove("dropping"); addSamples(one, event.dataTransfer.files); });
    const select = el("select", { "aria-label": "Or somebody who has a name here" }, el("option", { value: "" }, "or somebody who has a name here …"), known.map((person) => el("option", { value: person.person }, person.name)));
    select.value = one.people[0] ?? "";
    select.addEventListener("change", () => { one.people = select.value ? [Number(select.value)] : []; search(); });
    return el("section", { class: "card wanted", "aria-label": `Wanted ${place + 1}` },
      el("div", { class: "wanted-head" }, el("h2", {}, wanted.length > 1 ? `Person ${place + 1}` : "Who?"),
        wanted.length > 1 ? button("", { name: "close", kind: "quiet", small: true, "aria-label": `Without person ${place + 1}`, onclick: () => { wanted = wanted.filter((other) => other !== one); drawSide(); search(); } }) : null),
      el("div", { class: "samples" }, one.samples.map((sample) => sampleView(one, sample))), drop, known.length ? el("div", { class: "field" }, select) : null);
  }

  function sampleView(one, sample) {
    const describe = (_, index) => ({ label: null, decision: sample.left.has(index) ? "plain" : "match", title: sample.left.has(index) ? "Left out; look for this face" : "Looked for; leave this face out" });
    const marks = boxes(sample.faces, sample.size, describe, (index) => {
      if (sample.left.has(index)) sample.left.delete(index);
      else sample.left.add(index);
      drawSide();
      search();
    });
    marks.forEach((mark, index) => { mark.classList.toggle("out", sample.left.has(index)); mark.setAttribute("aria-pressed", String(!sample.left.has(index))); });
    return el("div", {}, el("div", { class: "sample" }, el("img", { src: sample.url, alt: sample.file.name }), marks,
      button("", { name: "close", kind: "on-dark", small: true, "aria-label": `Without ${sample.file.name}`, onclick: () => { one.samples = one.samples.filter((other) => other !== sample); drawSide(); search(); } })),
      sample.faces.length > 1 ? el("p", { class: "sample-note" }, `${sample.faces.length - sample.left.size} of ${plural(sample.faces.length, "face")} looked for`) : sample.faces.length ? "" : el("p", { class: "sample-note problem" }, "No face in this picture"));
  }

  async function addSamples(one, files) {
    for (const file of [...files].slice(0, MAX_SAMPLES)) {
      try {
        const { faces, image } = await upload("/api/detect", {}, file);
        one.samples.push({ file, url: URL.createObjectURL(file), faces, size: image, left: new Set() });
      } catch (error) {
        failed(error);
      }
    }
    drawSide();
    search();
  }

  // ------------------------------------------------------------------------------------------ results

  // The request's `wanted`, and the pictures in the order of its indices.
  function question() {
    const pictures = [];
    const said = wanted.map((one) => ({
      people: one.people,
      samples: one.samples.filter((sample) => sample.faces.length > sample.left.size).map((sample) => ({ picture: pictures.push(sample.file) - 1, leave_out: [...sample.left] })),
    })).filter((one) => one.people.length || one.samples.length);
    return { said, pictures };
  }

  async function search() {
    const mine = ++asked;
    broken = false;
    const { said, pictures } = question();
    grid?.close();
    grid = null;
    if (!said.length) {
      results.replaceChildren(state("search", "Who are you looking for?", "With one picture of somebody you get every photo of theirs. With several of the same person, more of them are found."));
      return;
    }
    const ask = (offset, limit, signal) => form("/api/album/search", "search", { album, wanted: said, together, show, offset, limit }, pictures, signal);
    const room = el("div", {});
    results.replaceChildren(room);
    loading(room, { height: 150 });
    try {
      const found = await ask(0, PAGE);
      if (mine === asked) draw(found, ask, said, pictures);
    } catch (error) {
      if (mine === asked) { broken = true; results.replaceChildren(errorState(error, search)); }
    }
  }

  function draw(found, ask, said, pictures) {
    const missing = found.wanted.map((one, place) => (one.found ? null : place + 1)).filter(Boolean);
    const everything = found.solo + found.group;
    const nobody = `Nobody here is similar enough${missing.length < found.wanted.length ? ` to person ${missing.join(", ")}` : ""}. Somebody who is not in the album would be found with a chance of ${percent(found.error_rate)}.`;
    if (!everything) {
      results.replaceChildren(state("search", missing.length ? "Not in this album" : "No photo shows them all", missing.length ? nobody : "Each is in the album, but never together."));
      return;
    }
    const chip = (key, label, count) => el("button", { type: "button", "aria-pressed": String(show === key), on: { click: () => { show = key; search(); } } }, `${label} ${count}`);
    const room = el("div", {});
    results.replaceChildren(
      el("div", { class: "head" }, el("div", {}, el("h2", {}, plural(everything, "photo")), el("p", { class: "sub" }, missing.length ? nobody : "The most similar first")),
        button("Download these", { name: "download", onclick: () => context.download({ wanted: said, together }, pictures) })),
      el("div", { class: "chips", role: "group", "aria-label": "Which photos" }, chip("all", "All", everything), chip("solo", "Alone", found.solo), chip("group", "With others", found.group)), room);
    if (!found.total) {
      room.replaceChildren(el("p", { class: "sub" }, "None of these."));
      return;
    }
    grid = new Grid(room, {
      label: "Photos found", minWidth: 150, gap: 6, cellHeight: (width) => Math.round(width), load: async (offset, limit, signal) => (await ask(offset, limit, signal)).photos,
      cell: (one, index) => photoTile(album, one.photo, () => openPhotos(album, found.total, async (place) => { const item = await grid.item(place); return item && { ...item.photo, matches: item.matches }; }, matchesOf).open(index), one.similarity.toFixed(2)),
    });
    grid.show(found.total, found.photos);
  }

  const matchesOf = (photo) => photo.matches.map((match) => ({
    box: match.box, decision: "match", label: match.similarity.toFixed(2), title: `Found: similarity ${match.similarity.toFixed(2)}${match.by === "person" ? ", by the other photos of this person" : ""}`,
    href: match.person === null ? null : `#/person/${match.person}`,
  }));

  drawSide();
  search();
  loadKnown();
  return { close: () => grid?.close(), online: () => { loadKnown(); if (broken) search(); } };
}
