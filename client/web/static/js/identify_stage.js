// @ts-check
// The stage of Identify: a picture or the camera's video as large as it fits, with boxes on the faces.

import { nothing } from "../vendor/lit-html/lit-html.js";
import { boxTitle, fit, hoverCard, marks, who } from "./faces.js";
import { byId, render } from "./view.js";

const stage = byId("stage");
const canvas = byId("canvas");
let content = null; // the picture, the video, or words
let faces = null; // what boxes are drawn of: {answer, selected, onselect}
let pointed = null; // at which box the pointer or the focus is

// Fits the stage to a picture of this size, enlarged at most `limit` times.
export function layOut(width, height, limit = 3) {
  const narrow = matchMedia("(max-width: 700px)").matches;
  const room = stage.getBoundingClientRect();
  const roomHeight = narrow ? Math.min(innerHeight * 0.62, (room.width * height) / width) : room.height;
  const fitted = fit(width, height, room.width, roomHeight, limit);
  canvas.style.width = `${fitted.width}px`;
  canvas.style.height = `${fitted.height}px`;
}

// Sets what is shown: empty, picture or camera; `busy` while waiting for an answer.
export function setStage(name, { busy = false, note = "" } = {}) {
  stage.dataset.state = name;
  stage.toggleAttribute("data-busy", busy);
  byId("welcome").hidden = name !== "empty";
  canvas.hidden = name === "empty";
  byId("tools").hidden = name === "empty";
  setNote(note);
}

export function setNote(note) {
  byId("stage-note").hidden = !note;
  render(note, byId("stage-note"));
}

// What is known of the picture, beside the tools.
export const setFacts = (text) => render(text, byId("stage-facts"));

// Puts a picture, the video, words or nothing on the stage, and boxes on the faces of `answer`, if there is one.
export function put(shown, answer = null, selected = 0, onselect = null) {
  if (shown !== content) pointed = null;
  content = shown;
  drawBoxes(answer, selected, onselect);
}

// Draws a box on every face; number `selected` is pressed. `onselect(number)`.
export function drawBoxes(answer, selected, onselect) {
  faces = answer && { answer, selected, onselect };
  if (!faces || pointed >= answer.faces.length) pointed = null;
  draw();
}

export function press(selected) {
  faces.selected = selected;
  draw();
}

export const idle = () => stage.removeAttribute("data-busy");

function draw() {
  render([content, faces ? [boxesOf(faces), card(faces.answer)] : nothing], canvas);
}

const boxesOf = ({ answer, selected, onselect }) =>
  marks(
    answer.faces,
    answer.image,
    (face, index) => ({
      label: who(face),
      decision: face.decision,
      title: boxTitle(face),
      pressed: index === selected,
    }),
    onselect,
    (index, so) => {
      if (!so && pointed !== index) return; // a box that goes loses the focus while this is being drawn
      pointed = so ? index : null;
      draw();
    },
  );

function card({ faces: found, image }) {
  const face = found[pointed];
  if (!face?.candidates.length) return nothing;
  const [x, y, width] = face.box;
  const right = (x + width / 2) / image.width < 0.5;
  const across = 100 * (right ? (x + width) / image.width : 1 - x / image.width);
  const top = Math.min((100 * y) / image.height, 60);
  return hoverCard(face, `${right ? "left" : "right"}: calc(${across}% + 12px); top: ${top}%`);
}
