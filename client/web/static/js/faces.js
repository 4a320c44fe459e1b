// Faces: boxes on a picture, and cards next to it.

import { button, el, icon, meter, percent, reasonList } from "./dom.js";

const SIGN = { match: "check", ambiguous: "question", unknown: "question" };

export const who = (face) => face.name ?? (face.decision === "ambiguous" ? "ambiguous" : "unknown");

export function badge(face) {
  return el("span", { class: "badge" }, icon(SIGN[face.decision]), face.decision);
}

// The largest size in CSS pixels at which a picture fits the available space; at most `most` times its own size.
export function fit(width, height, roomWidth, roomHeight, most = 3) {
  const scale = Math.min(roomWidth / width, roomHeight / height, most);
  return { width: width * scale, height: height * scale };
}

// Buttons over a picture of `size`; each face has `box`, and `label`, `decision`, `title` as returned by `describe`.
export function boxes(faces, size, describe, onpick) {
  return faces.map((face, index) => {
    const [x, y, width, height] = face.box;
    const { label, decision, title } = describe(face, index);
    const centre = (x + width / 2) / size.width;
    const side = centre < 0.16 ? "label-left" : centre > 0.84 ? "label-right" : "";
    const low = (y + height) / size.height > 0.9 ? "label-above" : "";
    return el("button", {
      type: "button", class: `box ${low} ${side}`, "aria-pressed": "false", "aria-label": title, data: { decision, face: index },
      style: { left: `${100 * x / size.width}%`, top: `${100 * y / size.height}%`, width: `${100 * width / size.width}%`, height: `${100 * height / size.height}%` },
      on: { click: (event) => { event.stopPropagation(); onpick?.(index); } },
    }, label ? el("span", { class: "box-label" }, label) : null);
  });
}

export function boxTitle(face) {
  const similarity = face.similarity === null ? "nobody is enrolled" : `similarity ${face.similarity.toFixed(2)}`;
  return `${who(face)}, ${face.decision}, ${similarity}${face.emotion ? `, ${feeling(face.emotion)}` : ""}`;
}

export const feeling = (emotion) => `${emotion.label}${emotion.certain ? "" : "?"}`;

// The face cropped from an image or a canvas, with some margin.
export function crop(source, size, box) {
  const [x, y, width, height] = box;
  const side = Math.max(width, height) * 1.35;
  const canvas = el("canvas", { width: 120, height: 120 });
  const scaleX = (source.naturalWidth ?? source.width) / size.width;
  const scaleY = (source.naturalHeight ?? source.height) / size.height;
  const left = (x + width / 2 - side / 2) * scaleX;
  const top = (y + height / 2 - side / 2) * scaleY;
  canvas.getContext("2d").drawImage(source, left, top, side * scaleX, side * scaleY, 0, 0, 120, 120);
  return canvas;
}

export function hoverCard(face) {
  if (!face.candidates.length) return null;
  return el("div", { class: "hover-card" }, el("h3", {}, "Most similar"),
    el("ol", {}, face.candidates.map((one) => el("li", {}, el("span", {}, one.name), el("span", {}, one.similarity.toFixed(2))))));
}

// A card; `source` shows the picture. `onenrol(name, accept)` enrols the face; it resolves to null on success, else to
// {reasons, accept: reasons that can be accepted, or null}.
export function faceCard(face, { source, size, selected, onselect, onenrol }) {
  const crop_ = source ? el("span", { class: "face-crop" }, crop(source, size, face.box)) : el("span", { class: "face-crop" });
  const facts = face.similarity === null ? ["nobody is enrolled yet"]
    : [`${face.similarity.toFixed(2)} similar`, el("span", { class: "wide" }, `, ${face.threshold.toFixed(2)} needed`)];
  const top = el("button", { type: "button", class: "face-top", "aria-expanded": String(selected), on: { click: onselect } },
    crop_,
    el("span", {},
      el("span", { class: "face-name" }, el("strong", {}, face.name ?? (face.decision === "ambiguous" ? "Not sure who" : "Nobody known")), badge(face)),
      el("span", { class: "face-line" }, el("span", {}, ...facts), face.emotion ? el("span", {}, `${feeling(face.emotion)} ${percent(face.emotion.confidence)}`) : null),
      face.similarity === null ? null : meter(face.similarity, { tick: face.threshold })));
  const card = el("article", { class: "card face", data: { decision: face.decision } }, top);
  if (selected) {
    card.dataset.selected = "";
    card.append(details(face, onenrol));
  }
  return card;
}

function details(face, onenrol) {
  const parts = [];
  if (face.candidates.length) {
    parts.push(el("div", {}, el("h3", {}, "Most similar people"), el("ol", { class: "candidates" }, face.candidates.map((one) =>
      el("li", {}, el("a", { href: `/person?name=${encodeURIComponent(one.name)}` }, one.name), meter(one.similarity, { tick: face.threshold, tone: one.similarity < face.threshold ? "var(--line-strong)" : undefined }),
        el("span", { class: "number" }, one.similarity.toFixed(2)))))));
  }
  if (face.emotion) parts.push(emotions(face.emotion));
  if (onenrol) parts.push(enrolForm(face, onenrol));
  return el("div", { class: "face-more" }, parts);
}

function emotions(emotion) {
  const scores = Object.entries(emotion.scores).sort(([, a], [, b]) => b - a);
  return el("div", {}, el("h3", {}, emotion.certain ? "Emotion" : "Emotion (not sure)"),
    el("ol", { class: "emotions" }, scores.map(([label, share], place) =>
      el("li", { data: place === 0 ? { first: "" } : {} }, el("span", {}, label), meter(share), el("span", { class: "number" }, percent(share))))));
}

function enrolForm(face, onenrol) {
  const input = el("input", { name: "name", required: true, maxlength: 200, autocomplete: "off", list: "known-people", placeholder: "Name" });
  const form = el("form", { class: "enrol" }, el("label", { class: "field" }, el("span", {}, face.decision === "match" ? "Enrol this face, too, as" : "Enrol this face as"), input),
    el("button", { class: "button primary", type: "submit" }, "Enrol"));
  const why = el("div", { role: "alert" });
  form.append(why);
  if (face.decision === "match") input.value = face.name;
  const submit = form.querySelector(".button");
  const enrol = async (accept) => {
    submit.disabled = true;
    why.replaceChildren();
    try {
      const refused = await onenrol(input.value.trim(), accept);
      if (!refused) return;
      why.append(el("p", { class: "problem" }, "Not enrolled"), reasonList(refused.reasons));
      if (refused.accept) why.append(button("Enrol anyway", { small: true, onclick: () => enrol([...accept, ...refused.accept]) }));
    } finally {
      submit.disabled = false;
    }
  };
  form.addEventListener("submit", (event) => { event.preventDefault(); enrol([]); });
  input.addEventListener("input", () => why.replaceChildren());  // the reasons were about another name
  return form;
}
