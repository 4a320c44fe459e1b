// @ts-check
// Faces: boxes on a picture, and cards next to it.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { address } from "./api.js";
import { button, icon, meter, reasonList } from "./view.js";
import { hundredths, isolated, named, share } from "./words.js";

const SIGN = { match: "check", ambiguous: "question", unknown: "question" };
const CROP = 120; // pixels

export const who = (face) => face.name ?? (face.decision === "ambiguous" ? "ambiguous" : "unknown");

// The largest size in CSS pixels at which a picture fits the available space; at most `most` times its own size.
export function fit(width, height, roomWidth, roomHeight, most = 3) {
  const scale = Math.min(roomWidth / width, roomHeight / height, most);
  return { width: width * scale, height: height * scale };
}

// Buttons over a picture of `size`. `describe(face, index)` says of each face, which has a `box`: `label`, `decision`,
// `title`, and whether it is `pressed`, `drawn` by hand, left `out` of a search, `hidden`. `onpick(index)`;
// `onpoint(index, whether)`.
export const marks = (faces, size, describe, onpick, onpoint = (_index, _whether) => {}) =>
  faces.map((face, index) => {
    const [x, y, width, height] = face.box;
    const { label, decision, title, ...more } = describe(face, index);
    const centre = (x + width / 2) / size.width;
    const side = centre < 0.16 ? "label-left" : centre > 0.84 ? "label-right" : "";
    const low = (y + height) / size.height > 0.9 ? "label-above" : "";
    const pick = (event) => {
      event.stopPropagation();
      onpick?.(index);
    };
    return html`<button
      type="button"
      class=${`box ${low} ${side} ${more.out ? "out" : ""}`}
      aria-pressed=${Boolean(more.pressed)}
      aria-label=${title}
      data-decision=${decision}
      data-face=${index}
      ?data-drawn=${more.drawn}
      ?hidden=${more.hidden}
      .style=${placed(face.box, size)}
      @click=${pick}
      @pointerenter=${() => onpoint(index, true)}
      @pointerleave=${() => onpoint(index, false)}
      @focus=${({ target }) => target.matches(":focus-visible") && onpoint(index, true)}
      @blur=${() => onpoint(index, false)}
    >
      ${label ? html`<span class="box-label">${named(label)}</span>` : nothing}
    </button>`;
  });

// Where a box is on a picture of `size`, as CSS.
/** @param {number[]} box @param {{ width: number, height: number }} size */
export const placed = ([x, y, width, height], size) =>
  `left: ${(100 * x) / size.width}%; top: ${(100 * y) / size.height}%; ` +
  `width: ${(100 * width) / size.width}%; height: ${(100 * height) / size.height}%`;

export function boxTitle(face) {
  const similarity = face.similarity === null ? "nobody is enrolled" : `similarity ${hundredths(face.similarity)}`;
  return `${isolated(who(face))}, ${face.decision}, ${similarity}${face.emotion ? `, ${feeling(face.emotion)}` : ""}`;
}

const feeling = (emotion) => `${emotion.label}${emotion.certain ? "" : "?"}`;

const crops = new WeakMap(); // canvases, by their faces

// The face cropped from an image or a canvas, with some margin.
function crop(face, source, size) {
  if (crops.has(face)) return crops.get(face);
  const [x, y, width, height] = face.box;
  const side = Math.max(width, height) * 1.35;
  const canvas = Object.assign(document.createElement("canvas"), { width: CROP, height: CROP });
  const scaleX = (source.naturalWidth ?? source.width) / size.width;
  const scaleY = (source.naturalHeight ?? source.height) / size.height;
  const left = (x + width / 2 - side / 2) * scaleX;
  const top = (y + height / 2 - side / 2) * scaleY;
  canvas.getContext("2d").drawImage(source, left, top, side * scaleX, side * scaleY, 0, 0, CROP, CROP);
  crops.set(face, canvas);
  return canvas;
}

// By what candidates are ranked: the similarity on the first one's scale. (Servers of before say only the similarity.)
const likeness = (one) => one.comparable ?? one.similarity;

export const hoverCard = (face, style) =>
  html`<div class="hover-card" .style=${style}>
    <h3>Most similar</h3>
    <ol>
      ${face.candidates.map(
        (one) => html`<li><span>${named(one.name)}</span><span>${hundredths(likeness(one))}</span></li>`,
      )}
    </ol>
  </div>`;

// A card; `source` shows the picture. `onenrol(name, accept)` enrols the face; it resolves to null on success, else to
// {reasons, accept: reasons that can be accepted, or null}. `draw` draws the cards again.
export const faceCard = (face, { source, size, selected, onselect, onenrol, draw }) =>
  html`<article class="card face" data-decision=${face.decision} ?data-selected=${selected}>
    <button type="button" class="face-top" aria-expanded=${selected} @click=${onselect}>
      <span class="face-crop">${source ? crop(face, source, size) : nothing}</span>
      <span>
        <span class="face-name">
          <strong
            >${face.name ? named(face.name) : face.decision === "ambiguous" ? "Not sure who" : "Nobody known"}</strong
          >
          <span class="badge">${icon(SIGN[face.decision])}${face.decision}</span>
        </span>
        <span class="face-line">
          <span>${facts(face)}</span>
          ${face.emotion ? html`<span>${feeling(face.emotion)} ${share(face.emotion.confidence)}</span>` : nothing}
        </span>
        ${face.similarity === null ? nothing : meter(face.similarity, { tick: face.threshold })}
      </span>
    </button>
    ${
      selected
        ? html`<div class="face-more">
            ${face.candidates.length ? candidates(face) : nothing} ${face.emotion ? emotions(face.emotion) : nothing}
            ${onenrol ? enrolForm(face, onenrol, draw) : nothing}
          </div>`
        : nothing
    }
  </article>`;

const facts = ({ similarity, threshold }) =>
  similarity === null
    ? "nobody is enrolled yet"
    : html`${hundredths(similarity)} similar<span class="wide">, ${hundredths(threshold)} needed</span>`;

const candidates = (face) =>
  html`<div>
    <h3>Most similar people</h3>
    <ol class="candidates">
      ${face.candidates.map((one) => {
        const tone = likeness(one) < face.threshold ? "var(--line-strong)" : undefined;
        return html`<li>
          <a href=${address("/person", { name: one.name })}>${named(one.name)}</a>
          ${meter(likeness(one), { tick: face.threshold, tone })}
          <span class="number">${hundredths(likeness(one))}</span>
        </li>`;
      })}
    </ol>
  </div>`;

const emotions = ({ certain, scores }) =>
  html`<div>
    <h3>${certain ? "Emotion" : "Emotion (not sure)"}</h3>
    <ol class="emotions">
      ${Object.entries(scores)
        .sort(([, a], [, b]) => b - a)
        .map(
          ([label, score], place) =>
            html`<li ?data-first=${place === 0}>
              <span>${label}</span>${meter(score)}<span class="number">${share(score)}</span>
            </li>`,
        )}
    </ol>
  </div>`;

const enrolling = new WeakMap(); // by faces: {name, busy, refused, accepted: reasons}

function enrolForm(face, onenrol, draw) {
  const known = face.decision === "match" ? face.name : "";
  const { name = known, busy = false, refused = null, accepted = [] } = enrolling.get(face) ?? {};
  const now = (state) => {
    enrolling.set(face, { ...enrolling.get(face), ...state });
    draw();
  };
  const enrol = async (accept) => {
    let answer = null;
    now({ busy: true, refused: null });
    try {
      answer = await onenrol(name.trim(), accept);
    } finally {
      now({ busy: false, refused: answer, accepted: accept });
    }
  };
  const submitted = (event) => {
    event.preventDefault();
    enrol([]);
  };
  const again = () => enrol([...accepted, ...refused.accept]);
  return html`<form class="enrol" @submit=${submitted}>
    <label class="field">
      <span>${face.decision === "match" ? "Also enrol this face as" : "Enrol this face as"}</span>
      <input
        name="name"
        required
        maxlength="200"
        dir="auto"
        autocomplete="off"
        list="known-people"
        placeholder="Name"
        value=${known}
        .value=${name}
        @input=${({ target }) => now({ name: target.value, refused: null })}
      />
    </label>
    <button class="button primary" type="submit" ?disabled=${busy}>Enrol</button>
    <div role="alert">
      ${
        refused
          ? html`<p class="problem">Not enrolled</p>
              ${reasonList(refused.reasons)}
              ${refused.accept ? button("Enrol anyway", { small: true, onclick: again }) : nothing}`
          : nothing
      }
    </div>
  </form>`;
}
