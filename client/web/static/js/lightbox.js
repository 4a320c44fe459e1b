// A full-screen photo with arrows, zoom and boxes. Not a library, because boxes must stay on the faces while zooming.

import { connection } from "./api.js";
import { button, el, plural } from "./dom.js";
import { boxes, fit } from "./faces.js";

const MOST_ZOOM = 8;

export class Lightbox {
  // `total` photos; `item(index)` resolves to {name, full, width, height, facts}; `faces(item)` resolves to [{box, label, title, decision, href}]
  constructor({ total, item, faces, save }) {
    Object.assign(this, { total, item, faces, save, showBoxes: true });
    this.title = el("p", {});
    this.boxButton = button("", { name: "box", kind: "on-dark", "aria-pressed": "true", "aria-label": "Show the faces", onclick: () => this.toggleBoxes() });
    this.saveLink = el("a", { class: "button on-dark square", "aria-label": "Save this photo", download: "" });
    this.saveLink.append(button("", { name: "download" }).firstChild);
    this.view = el("div", { class: "lightbox-view" });
    this.dialog = el("dialog", { class: "lightbox", "aria-label": "Photo" },
      el("div", { class: "lightbox-bar" }, this.title,
        button("", { name: "minus", kind: "on-dark", "aria-label": "Zoom out", onclick: () => this.zoomBy(1 / 1.5) }),
        button("", { name: "plus", kind: "on-dark", "aria-label": "Zoom in", onclick: () => this.zoomBy(1.5) }),
        this.boxButton, this.saveLink,
        button("", { name: "close", kind: "on-dark", "aria-label": "Close", onclick: () => this.dialog.close() })),
      this.view);
    this.previous = button("", { name: "left", kind: "on-dark lightbox-step previous", "aria-label": "Previous photo", onclick: () => this.step(-1) });
    this.next = button("", { name: "right", kind: "on-dark lightbox-step next", "aria-label": "Next photo", onclick: () => this.step(1) });
    this.view.append(this.previous, this.next);
    this.dialog.addEventListener("keydown", (event) => this.key(event));
    this.dialog.addEventListener("close", () => this.dialog.remove());
    this.resize = () => this.layOut();
    addEventListener("resize", this.resize);
    this.dialog.addEventListener("close", () => removeEventListener("resize", this.resize));
    this.listenToPointers();
  }

  open(index) {
    document.body.append(this.dialog);
    this.dialog.showModal();
    this.show(index);
  }

  step(by) {
    const index = this.index + by;
    if (index >= 0 && index < this.total) this.show(index);
  }

  async show(index) {
    this.index = index;
    // Not `disabled`: a disabled button loses the focus, and then no key events arrive
    this.previous.setAttribute("aria-disabled", String(index === 0));
    this.next.setAttribute("aria-disabled", String(index === this.total - 1));
    if (!this.current) this.title.replaceChildren("Loading …");
    let item;
    try {
      item = await this.item(index);
    } catch (error) {
      if (this.index === index) this.fail(index, error);
      return;
    }
    if (this.index !== index || !item) return;
    this.current = item;
    this.title.replaceChildren(item.name, el("span", {}, `${index + 1} of ${plural(this.total, "photo")}${item.facts ? ` · ${item.facts}` : ""}`));
    this.saveLink.href = this.save(item);
    this.picture = el("div", { class: "lightbox-picture" });
    const image = el("img", { src: item.full, alt: item.name, draggable: "false" });
    image.addEventListener("error", () => {
      if (this.index !== index) return;
      if (connection() === "online") this.picture.replaceChildren(el("p", { class: "lightbox-problem" }, "This photo can't be shown; it can be saved."));
      else this.fail(index, new Error("The server can't be reached."));
    });
    this.picture.append(image);
    this.put(this.picture);
    this.zoom = 1;
    this.x = this.y = 0;
    this.layOut();
    try {
      const faces = await this.faces(item);
      if (this.index !== index) return;
      this.picture.append(...boxes(faces, item, (face) => face, (place) => { if (faces[place].href) { this.dialog.close(); location.assign(faces[place].href); } }));
      this.applyBoxes();
    } catch {
      // the photo is shown; the boxes follow when the server is back
    }
  }

  fail(index, error) {
    this.current = null;
    this.title.replaceChildren(`Photo ${index + 1} of ${plural(this.total, "photo")}`);
    this.put(el("div", { class: "lightbox-problem" }, el("p", {}, error.message), button("Try again", { kind: "on-dark", onclick: () => this.show(index) })));
  }

  // Replaces the content but keeps the buttons, as one of them may have the focus.
  put(element) {
    const focused = this.onView?.contains(document.activeElement);
    this.onView?.remove();
    this.onView = element;
    this.view.prepend(element);
    if (focused) this.next.focus();
  }

  layOut() {
    if (!this.current) return;
    const room = this.view.getBoundingClientRect();
    const fitted = fit(this.current.width || 1600, this.current.height || 1200, room.width, room.height, 2);
    Object.assign(this.picture.style, { width: `${fitted.width}px`, height: `${fitted.height}px` });
    this.place();
  }

  place() {
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
    this.place();
  }

  toggleBoxes() {
    this.showBoxes = !this.showBoxes;
    this.applyBoxes();
  }

  applyBoxes() {
    this.boxButton.setAttribute("aria-pressed", String(this.showBoxes));
    this.picture?.querySelectorAll(".box").forEach((box) => { box.hidden = !this.showBoxes; });
  }

  key(event) {
    const act = {
      ArrowLeft: () => this.step(-1), ArrowRight: () => this.step(1), Home: () => this.show(0), End: () => this.show(this.total - 1),
      "+": () => this.zoomBy(1.5), "=": () => this.zoomBy(1.5), "-": () => this.zoomBy(1 / 1.5), 0: () => this.zoomBy(0), b: () => this.toggleBoxes(),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  listenToPointers() {
    const pointers = new Map();
    let apart = 0;
    let moved = 0;
    const distance = () => { const [a, b] = [...pointers.values()]; return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY); };
    this.view.addEventListener("wheel", (event) => { event.preventDefault(); this.zoomBy(event.deltaY < 0 ? 1.18 : 1 / 1.18, event.clientX, event.clientY); }, { passive: false });
    this.view.addEventListener("pointerdown", (event) => {
      if (event.target.closest("button")) return;
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
        this.place();
      }
    });
    const lift = (event) => {
      if (!pointers.delete(event.pointerId) || pointers.size || event.type === "pointercancel") return;
      const travelled = event.clientX - this.downX;
      if (moved < 6) this.zoomBy(this.zoom > 1 ? 0 : 2.5, event.clientX, event.clientY);
      else if (this.zoom === 1 && event.pointerType === "touch" && Math.abs(travelled) > 60) this.step(travelled < 0 ? 1 : -1);
    };
    this.view.addEventListener("pointerdown", (event) => { this.downX = event.clientX; });
    this.view.addEventListener("pointerup", lift);
    this.view.addEventListener("pointercancel", lift);
  }
}
