// The stage of Identify: a picture or the camera's video as large as it fits, with boxes on the faces.

import { byId } from "./dom.js";
import { boxTitle, boxes, fit, hoverCard, who } from "./faces.js";

const stage = byId("stage");
export const canvas = byId("canvas");

// Fits the stage to a picture of this size, enlarged at most `limit` times.
export function layOut(width, height, limit = 3) {
  const narrow = matchMedia("(max-width: 700px)").matches;
  const room = stage.getBoundingClientRect();
  const roomHeight = narrow ? Math.min(innerHeight * 0.62, room.width * height / width) : room.height;
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
  const line = byId("stage-note");
  line.hidden = !note;
  line.textContent = note;
}

// Draws a box on every face; number `selected` is pressed. `onselect(number)`.
export function drawBoxes(answer, selected, onselect) {
  canvas.querySelectorAll(".box, .hover-card").forEach((old) => old.remove());
  const describe = (face) => ({ label: who(face), decision: face.decision, title: boxTitle(face) });
  const all = boxes(answer.faces, answer.image, describe, onselect);
  all.forEach((box, index) => {
    const face = answer.faces[index];
    const showCard = () => placeCard(box, face, answer.image);
    const hideCard = () => canvas.querySelector(".hover-card")?.remove();
    box.setAttribute("aria-pressed", String(index === selected));
    box.addEventListener("pointerenter", showCard);
    box.addEventListener("focus", () => { if (box.matches(":focus-visible")) showCard(); });
    box.addEventListener("pointerleave", hideCard);
    box.addEventListener("blur", hideCard);
  });
  canvas.append(...all);
}

function placeCard(box, face, size) {
  canvas.querySelector(".hover-card")?.remove();
  const card = hoverCard(face);
  if (!card) return;
  const [x, y, width] = face.box;
  const right = (x + width / 2) / size.width < 0.5;
  card.style.setProperty(right ? "left" : "right", `calc(${100 * (right ? (x + width) / size.width : 1 - x / size.width)}% + 12px)`);
  card.style.top = `${Math.min(100 * y / size.height, 60)}%`;
  canvas.append(card);
}

export function press(selected) {
  canvas.querySelectorAll(".box").forEach((box, place) => box.setAttribute("aria-pressed", String(place === selected)));
}

export const idle = () => stage.removeAttribute("data-busy");
