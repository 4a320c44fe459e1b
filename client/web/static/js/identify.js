// Identify: pictures (dropped, chosen or pasted) and the camera.

import { connection, op, upload } from "./api.js";
import { Camera } from "./camera.js";
import { byId, el, plural, redraw } from "./dom.js";
import { acceptable, enrolOne, reasonsOf } from "./enrol.js";
import { whenDropped } from "./drag.js";
import { faceCard } from "./faces.js";
import { isPicture, leftOut } from "./formats.js";
import { canvas, drawBoxes, idle, layOut, press, setStage } from "./identify_stage.js";
import { failed, notice } from "./shell.js";

const AT_ONCE = 3;          // requests under way: the server processes several in parallel
const MAX_SIDE = 12000;
const panel = byId("panel");
const strip = byId("strip");

let shots = [];             // {file, url, image, state: waiting | asking | done | error, answer, error}
let current = null;
let selected = 0;
let underWay = 0;
let camera = null;
const beginning = panel.firstElementChild;
let shown = null;           // the subject of the cards: {answer, source, title, enrol}

// ---------------------------------------------------------------------------------------------- pictures

async function addFiles(files) {
  const pictures = [], others = [];
  for (const file of files) (await isPicture(file) ? pictures : others).push(file);
  if (others.length) notice(leftOut(others.map((file) => file.name)), { bad: !pictures.length });
  if (!pictures.length) return;
  camera?.stop();
  const added = pictures.map((file) => ({ file, url: URL.createObjectURL(file), state: "waiting" }));
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
  shot.state = "asking";
  underWay += 1;
  try {
    shot.answer = await upload("/api/identify", { k: 5 }, shot.file);
    shot.state = "done";
  } catch (error) {
    shot.state = "error";
    shot.error = error;
  }
  underWay -= 1;
  if (current === shot) draw();
  drawStrip();
  askNext();
}

function show(shot) {
  current = shot;
  selected = 0;
  draw();
}

// ---------------------------------------------------------------------------------------------- one picture

async function draw() {
  const shot = current;
  if (!shot) return;
  const asking = shot.state === "waiting" || shot.state === "asking";
  canvas.classList.remove("mirrored");
  setStage("picture", { busy: asking, note: noteOf(shot) });
  if (!shot.image) {
    shot.image = el("img", { src: shot.url, alt: shot.file.name });
    try {
      await shot.image.decode();
    } catch {
      shot.image.failed = true;  // the server may still read it; without a preview there are only the cards
    }
    if (current !== shot) return;
  }
  const { naturalWidth, naturalHeight } = shot.image;
  if (naturalWidth && naturalWidth < MAX_SIDE) layOut(naturalWidth, naturalHeight);
  canvas.replaceChildren(shot.image);
  if (shot.answer) {
    drawBoxes(shot.answer, selected, select);
    drawPanel(shot.answer, shot.image, shot.file.name, (face) => enrolFrom(shot, face));
  } else if (shot.error) {
    panel.replaceChildren(problem(shot));
  } else {
    panel.replaceChildren(el("div", { class: "panel-head" }, el("h2", {}, "Looking for faces")),
      ...[1, 2].map(() => el("div", { class: "card skeleton face", style: { height: "90px" }, "aria-hidden": "true" })));
  }
}

function noteOf(shot) {
  if (shot.state === "error") return "No answer for this picture";
  if (shot.answer && !shot.answer.faces.length) return "No face in this picture";
  return "";
}

function problem(shot) {
  return el("div", { class: "state small" }, el("p", { class: "state-title" }, "That did not work"), el("p", {}, shot.error.message),
    el("button", { class: "button", type: "button", on: { click: () => { shot.state = "waiting"; shot.error = null; draw(); askNext(); } } }, "Try again"));
}

function select(index) {
  selected = index;
  if (!shown) return;
  press(index);
  drawPanel(shown.answer, shown.source, shown.title, shown.enrol);
  panel.querySelectorAll(".face")[index]?.scrollIntoView({ block: "nearest" });
}

// ---------------------------------------------------------------------------------------------- the cards

function drawPanel(answer, source, title, enrol) {
  shown = { answer, source, title, enrol };
  const usable = source && !source.failed ? source : null;
  const cards = answer.faces.map((face, index) => faceCard(face, {
    source: usable, size: answer.image, selected: index === selected, onselect: () => select(index),
    onenrol: enrol(face),
  }));
  const head = el("div", { class: "panel-head" }, el("h2", {}, answer.faces.length ? plural(answer.faces.length, "face") : "No face"), el("span", { class: "facts", title }, title));
  const none = el("p", { class: "sub" }, "That is an answer, not an error: try a picture in which a face is larger, or turned to the camera.");
  redraw(panel, head, cards.length ? cards : none);
  byId("stage-facts").textContent = `${answer.image.width} × ${answer.image.height} · ${Math.round(answer.timing_ms.total ?? 0)} ms on the server`;
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
    notice(`${answer.person.name} is enrolled with ${plural(answer.person.templates, "face")}.`, {
      action: "Undo",
      onclick: () => op("undo", { count: 1, last: answer.event.id }).then(() => { notice("Taken back."); refresh(); }).catch(failed),
    });
    loadNames();
    return null;
  } catch (error) {
    return { reasons: [error.message], accept: null };
  }
}

function refresh() {
  if (!current) return;
  current.state = "waiting";
  askNext();
}

// ---------------------------------------------------------------------------------------------- the strip

function drawStrip() {
  strip.hidden = shots.length < 2;
  redraw(strip, shots.map((shot) => {
    const done = shot.state === "done";
    const words = { done: done && plural(shot.answer.faces.length, "face"), error: "failed", waiting: "waiting", asking: "being looked at" }[shot.state];
    const count = done || shot.state === "error" ? el("span", { class: "strip-count", data: { state: shot.state }, "aria-hidden": "true" }, done ? String(shot.answer.faces.length) : "!") : null;
    return el("li", {}, el("button", { type: "button", "aria-label": `${shot.file.name}: ${words}`, "aria-current": String(shot === current), on: { click: () => { camera?.stop(); show(shot); drawStrip(); } } },
      el("img", { src: shot.url, alt: "" }), count));
  }));
}

// ---------------------------------------------------------------------------------------------- the camera

async function startCamera() {
  if (camera) return;
  camera = new Camera({ onanswer: onFrame, onend: onCameraEnd });
  byId("stage-note").hidden = false;
  byId("stage-note").textContent = "Waiting for the camera: the browser may ask you to allow it.";
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
  canvas.classList.remove("mirrored");
  canvas.replaceChildren(camera.video);
  layOut(camera.video.videoWidth, camera.video.videoHeight);
  setCameraButton("Stop the camera");
  panel.replaceChildren(el("div", { class: "panel-head" }, el("h2", {}, "Looking")));
}

let lastPanel = "";

function onFrame(message, blob, bitmap) {
  if (!camera) return;
  idle();
  if (message.error) {
    if (message.error.code === "unauthorized") location.assign("/login");
    byId("stage-note").hidden = false;
    byId("stage-note").textContent = message.error.message;
    return;
  }
  byId("stage-note").hidden = true;
  const answer = message.answer;
  if (selected >= answer.faces.length) selected = 0;
  drawBoxes(answer, selected, select);
  byId("stage-facts").textContent = `live · ${Math.round(answer.timing_ms.total ?? 0)} ms on the server · ${message.dropped} late frames dropped`;
  // The cards are redrawn only when somebody else appears, so that they can be read and typed into.
  const now = answer.faces.map((face) => `${face.decision}${face.name}`).join("|");
  const typing = panel.contains(document.activeElement) && document.activeElement.tagName === "INPUT";
  if (now === lastPanel || typing) return;
  lastPanel = now;
  drawPanel(answer, bitmap, "camera", (face) => async (name, accept) => {
    const refused = await enrol(name, blob, "camera", face, accept);
    if (!refused) lastPanel = "";
    return refused;
  });
}

function onCameraEnd(reason) {
  camera = null;
  lastPanel = "";
  setCameraButton("Use the camera");
  if (reason) notice(reason, { bad: true });
  if (shots.length) show(shots[0]);
  else {
    canvas.replaceChildren();
    setStage("empty");
    panel.replaceChildren(beginning);
  }
}

function setCameraButton(label) {
  byId("camera-toggle").querySelector("span").textContent = label;
}

// ---------------------------------------------------------------------------------------------- start

async function loadNames() {
  try {
    const { people } = await op("people", { limit: 1000 });
    byId("known-people").replaceChildren(...people.map(({ name }) => el("option", { value: name })));
  } catch {
    // names are only suggestions; that the server is offline is shown above
  }
}

byId("files").addEventListener("change", (event) => { addFiles([...event.target.files]); event.target.value = ""; });
byId("camera-start").addEventListener("click", startCamera);
byId("camera-toggle").addEventListener("click", () => (camera ? camera.stop() : startCamera()));
document.addEventListener("paste", (event) => { if (event.clipboardData.files.length) addFiles([...event.clipboardData.files]); });
whenDropped((transfer) => addFiles([...transfer.files]));
document.addEventListener("facewire:server", () => {  // retry unanswered requests
  if (connection() !== "online") return;
  shots.filter((shot) => shot.state === "error" && ["offline", "gateway"].includes(shot.error.code)).forEach((shot) => { shot.state = "waiting"; shot.error = null; });
  if (current) draw();
  drawStrip();
  askNext();
  loadNames();
});
addEventListener("resize", () => { if (current) draw(); else if (camera) layOut(camera.video.videoWidth, camera.video.videoHeight); });
addEventListener("pagehide", () => camera?.stop());
loadNames();
