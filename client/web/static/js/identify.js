// @ts-check
// Identify: pictures (dropped, chosen or pasted) and the camera.

import { html } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { connection, may, op, upload } from "./api.js";
import { Camera } from "./camera.js";
import { GALLERY, tellChange, whenChangedElsewhere } from "./changes.js";
import { acceptable, enrolOne, reasonsOf } from "./enrol.js";
import { whenDropped } from "./drag.js";
import { faceCard } from "./faces.js";
import { isPicture, leftOut } from "./formats.js";
import { forgetPicture, keepPicture, keptPictures, shownLast } from "./identify_kept.js";
import { drawBoxes, idle, layOut, press, put, setFacts, setNote, setStage } from "./identify_stage.js";
import { drawStrip as drawStripOf } from "./identify_strip.js";
import { failed, notice } from "./shell.js";
import { button, byId, element, render } from "./view.js";
import { named, plural, said, whole } from "./words.js";

const CANDIDATES = 5; // as many as fit next to a face
const AT_ONCE = 3; // requests under way: the server processes several in parallel
const MAX_SIDE = 12000;
const BLANK = { width: 640, height: 400 }; // where a picture would be that the browser can't show
const panel = byId("panel");

let shots = []; // newest first: {number, file, url, image, state: waiting | asking | done | error, answer, error}
let current = null;
let selected = 0;
let underWay = 0;
let camera = null;
let enrolledAt = 0; // the camera's frames up to this one know nothing of the last enrolment
const beginning = panel.firstElementChild;
let shown = null; // the subject of the cards: {answer, source, title, enrol, shot}

// ---------------------------------------------------------------------------------------------- pictures

async function addFiles(files) {
  await restored;
  const pictures = [],
    others = [];
  for (const file of files) ((await isPicture(file)) ? pictures : others).push(file);
  if (others.length) notice(leftOut(others.map((file) => file.name)), { bad: !pictures.length });
  if (!pictures.length) return;
  camera?.stop();
  const highest = Math.max(0, ...shots.map(({ number }) => number)) + pictures.length;
  const added = pictures.map((file, place) => ({
    number: highest - place,
    file,
    url: URL.createObjectURL(file),
    state: "waiting",
  }));
  added.forEach(keep);
  shots = [...added, ...shots];
  show(added[0]);
  drawStrip();
  askNext();
}

function askNext() {
  while (underWay < AT_ONCE) {
    const shot = shots.find((one) => one.state === "waiting");
    if (!shot) return;
    askAbout(shot);
  }
}

async function askAbout(shot) {
  Object.assign(shot, { state: "asking", old: false });
  underWay += 1;
  try {
    shot.answer = await upload("/api/identify", { k: CANDIDATES }, shot.file);
    shot.state = "done";
    if (shots.includes(shot)) keep(shot); // else it was taken out meanwhile
  } catch (error) {
    Object.assign(shot, { state: "error", error, answer: null });
  }
  underWay -= 1;
  if (current === shot) draw();
  drawStrip();
  askNext();
}

const keep = (shot) =>
  keepPicture(
    shot,
    shots.filter((other) => other !== shot),
  );

function show(shot) {
  current = shot;
  selected = 0;
  shownLast(shot.number);
  if (shot.old) askAgain(shot); // its answer is of before the page was left
  draw();
}

function askAgain(shot) {
  shot.old = false;
  if (shot.state === "asking") return;
  shot.state = "waiting";
  askNext();
}

function remove(shot) {
  const place = shots.indexOf(shot);
  shots = shots.filter((other) => other !== shot);
  URL.revokeObjectURL(shot.url);
  forgetPicture(shot);
  if (current === shot) {
    const next = shots[Math.min(place, shots.length - 1)];
    if (next) show(next);
    else showNothing();
  }
  drawStrip();
}

function showNothing() {
  current = shown = null;
  put(null);
  setStage("empty");
  setFacts("");
  render(beginning, panel);
}

// The pictures of this tab from before a link, Back or a reload. Their answers are asked for again when they are shown.
async function restore() {
  const kept = (await keptPictures()) ?? [];
  if (!kept.length) return;
  shots = kept.map((one) => ({
    ...one,
    url: URL.createObjectURL(one.file),
    state: one.answer ? "done" : "waiting",
    old: Boolean(one.answer),
  }));
  if (!camera) show(shots.find(({ number }) => number === shownLast()) ?? shots[0]);
  drawStrip();
  askNext();
}

// ---------------------------------------------------------------------------------------------- one picture

async function draw() {
  const shot = current;
  if (!shot) return;
  const asking = shot.state === "waiting" || shot.state === "asking";
  if (shown?.shot !== shot || shot.error) {
    // nothing of another picture stays beside this one
    shown = null;
    setFacts("");
  }
  setStage("picture", { busy: asking, note: noteOf(shot) });
  if (!shot.image) {
    put(null);
    shot.image = element(html`<img src=${shot.url} alt=${shot.file.name} />`);
    try {
      await shot.image.decode();
    } catch {
      shot.image.failed = true; // the server may still read it; without a preview there are only the cards
    }
    if (current !== shot) return;
  }
  const { naturalWidth, naturalHeight } = shot.image;
  if (naturalWidth && naturalWidth < MAX_SIDE) layOut(naturalWidth, naturalHeight);
  else layOut(shot.answer?.image.width ?? BLANK.width, shot.answer?.image.height ?? BLANK.height);
  put(shot.image.failed ? blank(shot.file.name) : shot.image, shot.answer, selected, select);
  if (shot.answer) drawPanel(shot.answer, shot.image, shot.file.name, (face) => enrolFrom(shot, face), shot);
  else render(shot.error ? problem(shot) : looking(), panel);
}

const blank = (name) => html`<p class="stage-blank"><span>${said`The browser can't show ${name}.`}</span></p>`;

const looking = () =>
  html`<div class="panel-head"><h2>Looking for faces</h2></div>
    ${[1, 2].map(() => html`<div class="card skeleton face" .style=${"height: 90px"} aria-hidden="true"></div>`)}`;

function noteOf(shot) {
  if (shot.state === "error") return "No answer for this picture";
  if (shot.answer && !shot.answer.faces.length) return "No face in this picture";
  return "";
}

function problem(shot) {
  const again = () => {
    shot.state = "waiting";
    shot.error = null;
    draw();
    askNext();
  };
  return html`<div class="state small">
    <p class="state-title">That didn't work</p>
    <p>${shot.error.message}</p>
    ${button("Try again", { onclick: again })}
  </div>`;
}

function select(index) {
  selected = index;
  if (!shown) return;
  press(index);
  drawCards();
  panel.querySelectorAll(".face")[index]?.scrollIntoView({ block: "nearest" });
}

// ---------------------------------------------------------------------------------------------- the cards

function drawPanel(answer, source, title, enrol, shot = null) {
  shown = { answer, source, title, enrol, shot };
  drawCards();
  setFacts(`${answer.image.width} × ${answer.image.height} · ${whole(answer.timing_ms.total ?? 0)} ms on the server`);
}

function drawCards() {
  if (!shown) return;
  const { answer, source, title, enrol } = shown;
  const card = (face, index) =>
    faceCard(face, {
      source: source && !source.failed ? source : null,
      size: answer.image,
      selected: index === selected,
      onselect: () => select(index),
      onenrol: may("enrol") ? enrol(face) : null,
      draw: drawCards,
    });
  const none = () => html`<p class="sub">Try a picture in which a face is larger, or turned towards the camera.</p>`;
  render(
    html`<div class="panel-head">
        <h2>${answer.faces.length ? plural(answer.faces.length, "face") : "No face"}</h2>
        <span class="facts" title=${title}>${named(title)}</span>
      </div>
      ${answer.faces.length ? repeat(answer.faces, (face) => face, card) : none()}`,
    panel,
  );
}

function enrolFrom(shot, face) {
  return async (name, accept) => {
    const refused = await enrol(name, shot.file, shot.file.name, face, accept);
    if (refused) return refused;
    shot.state = "waiting";
    askNext();
    return null;
  };
}

// Resolves to the reason for failure, or null on success.
async function enrol(name, picture, label, face, accept) {
  const [x, y, width, height] = face.box;
  try {
    const answer = await enrolOne(name, picture, { label, x: x + width / 2, y: y + height / 2, accept });
    const [rejection] = answer.rejected;
    if (rejection) return { reasons: reasonsOf(rejection), accept: acceptable(rejection) };
    shots.forEach((shot) => {
      shot.old = shot.state === "done";
    });
    notice(said`${answer.person.name} is enrolled with ${plural(answer.person.templates, "face")}.`, {
      action: "Undo",
      onclick: () =>
        op("undo", { count: 1, last: answer.event.id })
          .then(() => {
            notice("Undone.");
            tellChange(GALLERY);
            refresh();
          })
          .catch(failed),
    });
    loadNames();
    return null;
  } catch (error) {
    return { reasons: [error.message], accept: null };
  }
}

// The gallery has changed: asks again about the picture that is shown, and about the others when they are.
function refresh() {
  shots.forEach((shot) => {
    shot.old = shot.state === "done";
  });
  if (current) askAgain(current);
}

const drawStrip = () =>
  drawStripOf(shots, current, {
    onshow: (shot) => {
      camera?.stop();
      show(shot);
      drawStrip();
    },
    onremove: remove,
  });

// ---------------------------------------------------------------------------------------------- the camera

async function startCamera() {
  if (camera) return;
  enrolledAt = 0;
  camera = new Camera({ onanswer: onFrame, onend: onCameraEnd });
  setNote("Waiting for the camera: the browser may ask you to allow it.");
  try {
    await camera.start();
  } catch (error) {
    camera.stop();
    failed(error);
    return;
  }
  current = null;
  selected = 0;
  setStage("camera", { busy: true });
  put(camera.video);
  layOut(camera.video.videoWidth, camera.video.videoHeight);
  setCameraButton("Stop the camera");
  render(html`<div class="panel-head"><h2>Looking</h2></div>`, panel);
}

let lastPanel = "";

function onFrame(message, blob, bitmap) {
  if (!camera || message.frame <= enrolledAt) return;
  idle();
  if (message.error) {
    if (message.error.code === "unauthorized") location.assign("/login");
    setNote(message.error.message);
    return;
  }
  setNote("");
  const answer = message.answer;
  if (selected >= answer.faces.length) selected = 0;
  drawBoxes(answer, selected, select);
  setFacts(
    `live · ${whole(answer.timing_ms.total ?? 0)} ms on the server · ${plural(message.dropped, "late frame")} dropped`,
  );
  // The cards are redrawn only when somebody else appears, so that they can be read and typed into.
  const now = whoIs(answer);
  const field = panel.contains(document.activeElement) && document.activeElement.closest("input");
  if (now === lastPanel || (field && field.value !== field.defaultValue)) return;
  drawFrame(answer, bitmap, blob);
}

const whoIs = (answer) => answer.faces.map((face) => `${face.decision}${face.name}`).join("|");

function drawFrame(answer, bitmap, blob) {
  lastPanel = whoIs(answer);
  drawPanel(answer, bitmap, "camera", (face) => async (name, accept) => {
    const refused = await enrol(name, blob, "camera", face, accept);
    if (!refused) await showEnrolled(bitmap, blob);
    return refused;
  });
}

// Draws the card of a face that was just enrolled from the frame that it was enrolled from.
async function showEnrolled(bitmap, blob) {
  if (!camera) return;
  enrolledAt = camera.number;
  try {
    const answer = await upload("/api/identify", { k: CANDIDATES }, blob);
    if (!camera) return;
    drawBoxes(answer, selected, select);
    drawFrame(answer, bitmap, blob);
  } catch (error) {
    lastPanel = ""; // the next frame draws it
    failed(error);
  }
}

function onCameraEnd(reason) {
  camera = null;
  lastPanel = "";
  setCameraButton("Use the camera");
  if (reason) notice(reason, { bad: true });
  if (shots.length) show(shots[0]);
  else showNothing();
  drawStrip();
}

function setCameraButton(label) {
  render(label, byId("camera-toggle").querySelector("span"));
}

// ---------------------------------------------------------------------------------------------- start

async function loadNames() {
  if (!may("enrol")) return; // they are suggestions for whom to enrol
  try {
    const { people } = await op("people", { limit: 1000 });
    render(
      people.map(({ name }) => html`<option value=${name}></option>`),
      byId("known-people"),
    );
  } catch {
    // names are only suggestions; that the server is offline is shown above
  }
}

byId("files").addEventListener("change", (event) => {
  addFiles([...event.target.files]);
  event.target.value = "";
});
byId("camera-start").addEventListener("click", startCamera);
byId("camera-toggle").addEventListener("click", () => (camera ? camera.stop() : startCamera()));
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) addFiles([...event.clipboardData.files]);
});
whenDropped((transfer) => addFiles([...transfer.files]));
document.addEventListener("facewire:server", () => {
  // retry unanswered requests
  if (connection() !== "online") return;
  shots
    .filter((shot) => shot.state === "error" && ["offline", "gateway"].includes(shot.error.code))
    .forEach((shot) => {
      shot.state = "waiting";
      shot.error = null;
    });
  if (current) draw();
  drawStrip();
  askNext();
  loadNames();
});
addEventListener("resize", () => {
  if (current) draw();
  else if (camera) layOut(camera.video.videoWidth, camera.video.videoHeight);
});
addEventListener("pagehide", () => camera?.stop());
whenChangedElsewhere((what) => {
  if (what === GALLERY) refresh();
});
const restored = restore();
loadNames();
