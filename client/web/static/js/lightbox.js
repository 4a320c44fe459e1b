// @ts-check
// A full-screen photo with arrows, zoom and boxes. Not a library, because boxes must stay on the faces while zooming.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { connection } from "./api.js";
import { fit, marks } from "./faces.js";
import { Film } from "./lightbox_film.js";
import { button, element, icon, render } from "./view.js";
import { named, plural, whole } from "./words.js";

const MOST_ZOOM = 8;
/** @type {Promise<unknown>} */
let goingBack = Promise.resolve(); // until the address of a photo that was closed is gone

export class Lightbox {
  // `total` photos; `item(index)` resolves to {name, full, width, height, facts}, of a video also {film: its address};
  // `faces(item)` resolves to [{box, label, title, decision, href}], in a video also {seen: [[first, last second], …],
  // elsewhere: not in the frame shown}; `hash(item)` is the photo's address, `away` that of the view behind it;
  // `tools`: [{button, panel, keys: {key: action}, show(item, lightbox), close()}], of which all but the button and
  // `show` may be left out; `drawing(this)` lets faces be drawn (drawing.js)
  constructor({ total, item, faces, save, hash, away, tools = [], drawing = null }) {
    this.total = total;
    this.item = item;
    this.facesOf = faces;
    this.save = save;
    this.hash = hash;
    this.away = away;
    this.tools = tools;
    this.current = null; // the photo that is shown, of number `place`; `index` is the one that was asked for
    this.index = this.place = 0;
    this.faces = [];
    this.broken = false; // the browser can't show it
    this.problem = null; // why there is no photo
    this.showBoxes = true;
    this.linked = this.pushed = this.left = false;
    this.zoom = 1;
    this.x = this.y = 0;
    this.dialog = element(html`<dialog class="lightbox" aria-label="Photo"></dialog>`);
    this.drawing = drawing?.(this);
    this.film = new Film(this);
    this.picture = null;
    this.draw();
    this.view = this.dialog.querySelector(".lightbox-view");
    this.dialog.addEventListener("keydown", (event) => this.key(event));
    this.resizes = new ResizeObserver(() => this.layOut()); // of the view: a window's event may come before its layout
    this.resizes.observe(this.view);
    this.back = () => this.leave();
    addEventListener("popstate", this.back);
    this.dialog.addEventListener("close", () => this.closed());
    this.listenToPointers();
  }

  draw() {
    render(
      html`<div class="lightbox-bar">
          <p>${this.title()}</p>
          <div class="lightbox-tools">${this.tools.map((tool) => tool.button)}</div>
          ${dark("minus", "Zoom out", () => this.zoomBy(1 / 1.5))} ${dark("plus", "Zoom in", () => this.zoomBy(1.5))}
          ${dark("box", "Show the faces", () => this.toggleBoxes(), { "aria-pressed": this.showBoxes })}
          ${this.drawing?.button()}
          <a
            class="button on-dark square"
            aria-label="Save this photo"
            download
            href=${this.current ? this.save(this.current) : nothing}
            >${icon("download")}</a
          >
          ${dark("close", "Close", () => this.dialog.close())}
        </div>
        ${this.film.times(this.faces, (href) => this.go(href))}
        <div class="lightbox-panels">${this.tools.map((tool) => tool.panel)}</div>
        <div class="lightbox-view">
          ${this.problem ? this.failure() : nothing}
          ${repeat(
            this.current ? [this.current] : [],
            (item) => item,
            (item) => this.photo(item),
          )}
          ${this.film.start(this.current)} ${this.stepper("previous", "left", -1, 0)}
          ${this.stepper("next", "right", 1, this.total - 1)}
        </div>
        ${this.drawing?.panel()}`,
      this.dialog,
    );
  }

  title() {
    const { current: item, problem, total } = this;
    if (problem) return `Photo ${whole(this.index + 1)} of ${plural(total, "photo")}`;
    if (!item) return "Loading …";
    const facts = `${whole(this.place + 1)} of ${plural(total, "photo")}${item.facts ? ` · ${item.facts}` : ""}`;
    return html`${named(item.name)}<span>${facts}</span>`;
  }

  // Not `disabled` at the end: a disabled button loses the focus, and then no key events arrive
  stepper(side, sign, by, end) {
    return dark(sign, `${side === "next" ? "Next" : "Previous"} photo`, () => this.step(by), {
      kind: `on-dark lightbox-step ${side}`,
      "aria-disabled": this.index === end,
    });
  }

  photo(item) {
    const here = this.film.plays ? [] : this.faces.filter(({ elsewhere }) => !elsewhere);
    const describe = (face) => ({ ...face, hidden: !this.showBoxes });
    return html`<div class="lightbox-picture" data-drawing=${this.drawing?.mode() ?? nothing}>
      ${this.film.plays ? this.film.player(item) : this.still(item)}
      ${marks(here, item, describe, (place) => this.pick(here[place]))} ${this.drawing?.area()}
    </div>`;
  }

  still(item) {
    if (this.broken) return html`<p class="lightbox-problem">This photo can't be shown; it can be saved.</p>`;
    return html`<img src=${item.full} alt=${item.name} draggable="false" @error=${() => this.unseen(item)} />`;
  }

  failure() {
    return html`<div class="lightbox-problem">
      <p>${this.problem.message}</p>
      ${button("Try again", { kind: "on-dark", onclick: () => this.show(this.index) })}
    </div>`;
  }

  open(index) {
    document.body.append(this.dialog);
    this.dialog.showModal();
    goingBack.then(() => this.show(index));
  }

  // Closes it where the address is another one already.
  leave() {
    this.left = true;
    this.dialog.close();
  }

  closed() {
    this.dialog.remove();
    this.resizes.disconnect();
    this.tools.forEach((tool) => tool.close?.());
    removeEventListener("popstate", this.back);
    if (this.left || !this.linked) return;
    if (this.pushed) {
      goingBack = new Promise((done) => {
        addEventListener("popstate", done, { once: true });
      });
      history.back();
    } else history.replaceState(null, "", this.away);
  }

  // Gives the page the photo's address, so that Back closes it and a reload shows it again.
  link(item) {
    const hash = this.hash(item);
    if (this.linked) history.replaceState(null, "", hash);
    else if (location.hash !== hash) {
      history.pushState(null, "", hash);
      this.pushed = true;
    }
    this.linked = true;
  }

  step(by) {
    const index = this.index + by;
    if (index >= 0 && index < this.total) this.show(index);
  }

  async show(index) {
    this.index = index;
    if (this.problem) this.put(null);
    else this.draw();
    let item;
    try {
      item = await this.item(index);
    } catch (error) {
      if (this.index === index) this.put(null, error);
      return;
    }
    if (this.index !== index || !item) return;
    this.link(item);
    this.tools.forEach((tool) => tool.show(item, this));
    this.zoom = 1;
    this.x = this.y = 0;
    this.place = index;
    this.put(item);
    await this.showFaces();
  }

  // Puts the boxes of the photo's faces on it, as they are now.
  async showFaces() {
    const item = this.current;
    try {
      const faces = await this.facesOf(item);
      if (this.current !== item) return;
      this.faces = faces;
      this.draw();
      this.layOut();
    } catch {
      // the photo is shown; the boxes follow when the server is back
    }
  }

  unseen(item) {
    if (this.current !== item || this.index !== this.place) return;
    if (connection() !== "online") this.put(null, new Error("The server can't be reached."));
    else {
      this.broken = true;
      this.draw();
    }
  }

  pick(face) {
    if (!this.drawing?.takes(face)) this.go(face.href);
  }

  go(href) {
    if (!href) return;
    this.leave();
    location.assign(href);
  }

  // Shows a photo, or why there is none. If what goes had the focus, a button beside it has it then.
  put(item, problem = null) {
    this.drawing?.shown(item);
    this.film.shown();
    const focused = this.view.querySelector(":scope > div")?.contains(document.activeElement);
    Object.assign(this, { current: item, problem, faces: [], broken: false });
    this.draw();
    this.picture = this.view.querySelector(".lightbox-picture");
    if (focused) this.view.querySelector(".next").focus();
    this.layOut();
  }

  layOut() {
    if (!this.current) return;
    const room = this.view.getBoundingClientRect();
    const fitted = fit(this.current.width || 1600, this.current.height || 1200, room.width, room.height, 2);
    Object.assign(this.picture.style, { width: `${fitted.width}px`, height: `${fitted.height}px` });
    this.move();
  }

  move() {
    const room = this.view.getBoundingClientRect();
    const limit = (size, space) => Math.max(0, (size * this.zoom - space) / 2);
    const [maxX, maxY] = [limit(this.picture.offsetWidth, room.width), limit(this.picture.offsetHeight, room.height)];
    this.x = Math.max(-maxX, Math.min(maxX, this.x));
    this.y = Math.max(-maxY, Math.min(maxY, this.y));
    this.picture.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.zoom})`;
    this.view.toggleAttribute("data-zoomed", this.zoom > 1);
  }

  // Keeps the point under the pointer (or the centre) in place.
  zoomBy(factor, clientX, clientY) {
    if (!this.current) return;
    const room = this.view.getBoundingClientRect();
    const atX = clientX === undefined ? 0 : clientX - room.left - room.width / 2;
    const atY = clientY === undefined ? 0 : clientY - room.top - room.height / 2;
    const zoom = Math.max(1, Math.min(MOST_ZOOM, this.zoom * factor));
    const change = zoom / this.zoom;
    this.x = atX - (atX - this.x) * change;
    this.y = atY - (atY - this.y) * change;
    this.zoom = zoom;
    this.move();
  }

  toggleBoxes() {
    this.showBoxes = !this.showBoxes;
    this.draw();
  }

  key(event) {
    if (event.target.closest(".lightbox-panels") || this.drawing?.key(event)) return;
    if (event.target.closest("input, video") || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = {
      ...Object.assign({}, ...this.tools.map((tool) => tool.keys)),
      ArrowLeft: () => this.step(-1),
      ArrowRight: () => this.step(1),
      Home: () => this.show(0),
      End: () => this.show(this.total - 1),
      "+": () => this.zoomBy(1.5),
      "=": () => this.zoomBy(1.5),
      "-": () => this.zoomBy(1 / 1.5),
      0: () => this.zoomBy(0),
      b: () => this.toggleBoxes(),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  listenToPointers() {
    const pointers = new Map();
    let apart = 0;
    let moved = 0;
    const distance = () => {
      const [a, b] = [...pointers.values()];
      return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
    };
    this.view.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoomBy(event.deltaY < 0 ? 1.18 : 1 / 1.18, event.clientX, event.clientY);
      },
      { passive: false },
    );
    this.view.addEventListener("pointerdown", (event) => {
      if (event.target.closest("button, video")) return;
      this.view.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, event);
      moved = 0;
      if (pointers.size === 2) apart = distance();
    });
    this.view.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
      pointers.set(event.pointerId, event);
      moved += Math.abs(dx) + Math.abs(dy);
      if (pointers.size === 2) {
        this.zoomBy(distance() / apart, event.clientX, event.clientY);
        apart = distance();
      } else if (this.zoom > 1) {
        this.x += dx;
        this.y += dy;
        this.move();
      }
    });
    const lift = (event) => {
      if (!pointers.delete(event.pointerId) || pointers.size || event.type === "pointercancel") return;
      const travelled = event.clientX - this.downX;
      if (moved < 6) this.zoomBy(this.zoom > 1 ? 0 : 2.5, event.clientX, event.clientY);
      else if (this.zoom === 1 && event.pointerType === "touch" && Math.abs(travelled) > 60)
        this.step(travelled < 0 ? 1 : -1);
    };
    this.view.addEventListener("pointerdown", (event) => {
      this.downX = event.clientX;
    });
    this.view.addEventListener("pointerup", lift);
    this.view.addEventListener("pointercancel", lift);
  }
}

const dark = (name, label, onclick, more = {}) =>
  button("", { name, kind: "on-dark", "aria-label": label, onclick, ...more });
