// @ts-check
// A face drawn by hand in the lightbox: a box to place with a finger, the mouse or the arrow keys, and whose face it
// is.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { op } from "./api.js";
import { placed } from "./faces.js";
import { button, freshId } from "./view.js";

const DRAW = "Draw a face that was missed";
const STEP = 0.01; // of the photo's shorter side: by which an arrow key moves or resizes
const SMALLEST = 8; // pixels of the photo: what the server can still recognise
const NAMES = 200; // suggested at most
const CORNERS = ["nw", "ne", "sw", "se"];

// `lightbox`: where it is drawn, which it also has draw what is said here; `drawn` is called after each change, and
// resolves once the photo's faces are redrawn.
export class FaceDrawing {
  constructor(album, lightbox, drawn) {
    this.album = album;
    this.lightbox = lightbox;
    this.drawn = drawn;
    this.possible = false; // in what is shown
    this.active = false;
    this.box = null; // of the draft, if there is one
    this.face = null; // that it changes, if it does
    this.name = "";
    this.names = []; // suggested
    this.list = freshId("names");
    this.said = "";
    this.event = null; // what Undo undoes
    this.busy = false;
    this.pointer = this.held = this.fixed = null;
  }

  button() {
    return button("", {
      name: "draw",
      kind: "on-dark",
      "aria-pressed": this.active,
      "aria-label": DRAW,
      hidden: !this.possible,
      onclick: () => (this.active ? this.stop() : this.start()),
    });
  }

  panel() {
    const submitted = (event) => {
      event.preventDefault();
      this.send();
    };
    const typed = ({ target }) => {
      this.name = target.value;
      this.lightbox.draw();
    };
    const undo = () => this.ask("album.undo", { last: this.event });
    return html`<form class="drawing" ?hidden=${!this.active} @submit=${submitted}>
      <p role="status" class="drawing-said">
        ${this.said}${this.event === null ? nothing : button("Undo", { kind: "on-dark", small: true, onclick: undo })}
      </p>
      <input
        list=${this.list}
        maxlength="200"
        autocomplete="off"
        placeholder="Name, if you know it"
        aria-label="Whose face this is"
        ?hidden=${!this.named()}
        .value=${this.name}
        @input=${typed}
      />
      <datalist id=${this.list}>${this.names.map((name) => html`<option value=${name}></option>`)}</datalist>
      <button type="submit" class="button primary" ?disabled=${this.busy}>
        ${!this.box ? "Draw another" : this.face ? "Move the face" : "Add the face"}
      </button>
      ${button("Remove", {
        name: "trash",
        kind: "on-dark",
        hidden: !this.face,
        onclick: () => this.ask("album.remove_face", { face: this.face.face }),
      })}
      ${button("Done", { kind: "on-dark", onclick: () => this.stop() })}
    </form>`;
  }

  // Over the photo.
  area() {
    if (!this.active) return nothing;
    const up = (event) => this.up(event);
    return html`<div
      class="draft-area"
      @pointerdown=${(event) => this.down(event)}
      @pointermove=${(event) => this.move(event)}
      @pointerup=${up}
      @pointercancel=${up}
    >
      <div
        class="draft"
        tabindex="0"
        role="group"
        aria-label="The face's box: arrow keys move it, with Shift they resize it, Enter goes on"
        ?hidden=${!this.box}
        .style=${this.box ? placed(this.box, this.lightbox.current) : ""}
      >
        ${CORNERS.map((corner) => html`<span class=${`draft-corner ${corner}`} data-corner=${corner}></span>`)}
      </div>
    </div>`;
  }

  // What is drawn: "change" of a face, or "" for a new one; null if nothing is.
  mode() {
    return !this.active ? null : this.face ? "change" : "";
  }

  // A new face may be given a name.
  named() {
    return Boolean(this.box) && !this.face;
  }

  focus(selector) {
    this.lightbox.dialog.querySelector(selector).focus({ preventScroll: true });
  }

  // Another photo is shown, or none.
  shown(item) {
    if (this.active) this.stop();
    this.possible = item !== null && item.seconds === null && item.state !== "unreadable";
  }

  async start() {
    this.active = true;
    this.say("Draw a box around the face, or choose one that was drawn to change it.");
    this.begin(null);
    try {
      const { people } = await op("album.people", { album: this.album, limit: NAMES });
      this.names = people.map(({ name }) => name).filter((name) => name !== null);
      this.lightbox.draw();
    } catch {
      // names can be typed without suggestions
    }
  }

  stop() {
    const focused = document.activeElement?.closest(".drawing, .draft-area");
    this.active = false;
    this.lightbox.draw();
    this.lightbox.layOut();
    if (focused) this.focus(`[aria-label="${DRAW}"]`);
  }

  // A face's box was clicked: true if that means changing it.
  takes(face) {
    if (!this.active) return false;
    if (face.drawn) this.begin(face);
    return true;
  }

  // A draft in the middle of what is seen, or of a face that was drawn.
  begin(face) {
    this.face = face;
    this.name = "";
    this.lightbox.draw();
    this.lightbox.layOut(); // the form takes some of the room
    const { width, height } = this.lightbox.current;
    const side = Math.min(width, height) / 4;
    const [x, y] = this.middle();
    this.put(face ? [...face.box] : [x - side / 2, y - side / 2, side, side]);
    this.focus(".draft");
  }

  middle() {
    const room = this.lightbox.view.getBoundingClientRect();
    return this.at({ clientX: room.left + room.width / 2, clientY: room.top + room.height / 2 });
  }

  // Where a pointer is, in pixels of the photo.
  at({ clientX, clientY }) {
    const shown = this.lightbox.picture.getBoundingClientRect();
    const { width, height } = this.lightbox.current;
    const within = (value, most) => Math.max(0, Math.min(most, value));
    return [
      within(((clientX - shown.left) / shown.width) * width, width),
      within(((clientY - shown.top) / shown.height) * height, height),
    ];
  }

  /** @param {number[]} box */
  put([x, y, w, h]) {
    const { width, height } = this.lightbox.current;
    const [boxWidth, boxHeight] = [Math.min(width, Math.max(SMALLEST, w)), Math.min(height, Math.max(SMALLEST, h))];
    const [left, top] = [Math.max(0, Math.min(width - boxWidth, x)), Math.max(0, Math.min(height - boxHeight, y))];
    this.box = [left, top, boxWidth, boxHeight];
    this.lightbox.draw();
  }

  down(event) {
    if (this.pointer !== null || event.button > 0) return;
    event.stopPropagation(); // or the photo would be moved
    event.preventDefault();
    event.currentTarget.setPointerCapture(event.pointerId);
    this.pointer = event.pointerId;
    const corner = event.target.dataset.corner;
    const [x, y, w, h] = this.box ?? [];
    if (corner) this.fixed = [corner.includes("w") ? x + w : x, corner.includes("n") ? y + h : y];
    else if (event.target.matches(".draft")) this.held = { from: this.at(event), box: this.box };
    else {
      this.fixed = this.at(event);
      if (this.face || !this.box) this.begin(null);
    }
    this.focus(".draft");
  }

  move(event) {
    if (event.pointerId !== this.pointer) return;
    event.stopPropagation();
    const [x, y] = this.at(event);
    if (this.held) {
      const { from, box } = this.held;
      this.put([box[0] + x - from[0], box[1] + y - from[1], box[2], box[3]]);
    } else {
      const [fixedX, fixedY] = this.fixed;
      this.put([Math.min(x, fixedX), Math.min(y, fixedY), Math.abs(x - fixedX), Math.abs(y - fixedY)]);
    }
  }

  up(event) {
    if (event.pointerId !== this.pointer) return;
    event.stopPropagation();
    this.pointer = this.held = this.fixed = null;
    // A finger's keyboard would hide the photo
    if (event.pointerType === "mouse" && this.named()) this.focus(".drawing input");
  }

  // True if the key was meant for the box or the form.
  key(event) {
    if (!this.active) {
      if (event.key !== "d" || !this.possible) return false;
      event.preventDefault();
      this.start();
      return true;
    }
    if (event.key === "Escape") {
      event.preventDefault();
      this.stop();
      return true;
    }
    if (!event.target.matches(".draft")) return Boolean(event.target.closest(".drawing"));
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (by) {
      event.preventDefault();
      const { width, height } = this.lightbox.current;
      const [dx, dy] = by.map((sign) => sign * Math.max(1, Math.round(STEP * Math.min(width, height))));
      const [x, y, w, h] = this.box;
      this.put(event.shiftKey ? [x, y, w + dx, h + dy] : [x + dx, y + dy, w, h]);
    } else if (event.key === "Enter") {
      event.preventDefault();
      this.focus(this.named() ? ".drawing input" : ".drawing [type=submit]");
    }
    return Boolean(by) || event.key === "Enter";
  }

  send() {
    if (!this.box) {
      this.begin(null);
      return;
    }
    const box = this.box.map((value) => Math.round(value));
    if (this.face) this.ask("album.redraw_face", { face: this.face.face, box });
    else this.ask("album.draw_face", { photo: this.lightbox.current.photo, box, name: this.name.trim() });
  }

  // Afterwards there is no draft: what was done can be undone, another face drawn.
  async ask(operation, keys) {
    this.busy = true;
    this.lightbox.draw();
    try {
      const { done, event, face } = await op(operation, { album: this.album, ...keys });
      await this.drawn();
      this.busy = false; // or the button can't have the focus
      if (!this.active) return;
      this.face = this.box = null;
      const unseen =
        face && !face.embedded
          ? " No face can be made out there: it is kept, but says nothing about other photos."
          : "";
      const text = `${done[0].toUpperCase()}${done.slice(1)}.${unseen}`;
      this.say(text, text.startsWith("Undone") ? null : event);
      this.focus(".drawing [type=submit]");
    } catch (error) {
      this.busy = false;
      this.say(error.message);
    }
  }

  say(text, event = null) {
    this.said = text;
    this.event = event;
    this.lightbox.draw();
  }
}
