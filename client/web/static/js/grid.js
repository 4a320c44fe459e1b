// A grid of any length that keeps only the elements near the viewport.
//
// All cells have the same size, so a chunk's height is known before it is loaded: the scroll bar is right from the
// start, and nothing jumps. A chunk is fetched when it comes near, cancelled if it leaves before its items arrive, and
// emptied when it is far away again. Arrows, Home, End, Page Up and Page Down move the focus to any cell.

import { button, el, plural, setStyle } from "./dom.js";

const ROWS = 8;             // per chunk
const NEAR = "900px 0px";   // above and below the screen
const MOST_KEPT = 3000;     // cached items, so that scrolling back a little needs no request
const SKIPPABLE = 30;       // more cells than that can be jumped over with one Tab

export class Grid {
  // `load(offset, limit, signal)` resolves to the items; `cell(item, index)` gives an element; `cellHeight(width)` in pixels.
  constructor(container, { load, cell, minWidth = 150, gap = 16, cellHeight, label }) {
    Object.assign(this, { container, load, cell, minWidth, gap, cellHeight, label });
    this.root = el("div", { class: "vgrid", role: "list", "aria-label": label });
    this.after = el("span", { tabindex: -1 });
    this.skip = el("button", { type: "button", class: "skip-grid", hidden: true, on: { click: () => this.after.focus() } });
    container.replaceChildren(this.skip, this.root, this.after);
    this.watch = new IntersectionObserver((seen) => seen.forEach((one) => this.turn(one.target, one.isIntersecting)), { rootMargin: NEAR });
    this.resize = new ResizeObserver(() => this.layOut());
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.online = (event) => event.detail === "online" && this.root.querySelectorAll("[data-failed]").forEach((chunk) => this.fill(chunk));
    document.addEventListener("facewire:server", this.online);
    this.total = 0;
  }

  // Shows `total` items, loaded on demand. `first`: the first items, if already loaded.
  show(total, first = []) {
    this.total = total;
    this.cache = new Map(first.map((item, index) => [index, item]));
    this.columns = 0;
    this.skip.hidden = total <= SKIPPABLE;
    this.skip.textContent = `Skip ${plural(total, "entry", "entries")}: ${this.label}`;
    this.resize.observe(this.root);
    this.layOut();
  }

  layOut() {
    const width = this.root.clientWidth;
    if (!width) return;
    const columns = Math.max(2, Math.floor((width + this.gap) / (this.minWidth + this.gap)));
    const cellWidth = (width - this.gap * (columns - 1)) / columns;
    const height = this.cellHeight(cellWidth);
    if (columns === this.columns && height === this.height) return;
    this.columns = columns;
    this.height = height;
    setStyle(this.root, { "--columns": columns, "--gap": `${this.gap}px`, "--cell": `${height}px` });
    this.giveUp();
    this.watch.disconnect();
    const size = columns * ROWS;
    this.chunks = [];
    for (let offset = 0; offset < this.total; offset += size) {
      const count = Math.min(size, this.total - offset);
      const rows = Math.ceil(count / columns);
      this.chunks.push(el("div", { class: "vgrid-chunk", role: "presentation", data: { offset, count }, style: { height: `${rows * (height + this.gap)}px` } }));
    }
    this.root.replaceChildren(...this.chunks);
    this.chunks.forEach((chunk) => this.watch.observe(chunk));
  }

  turn(chunk, near) {
    if (near) {
      if (!chunk.firstChild) this.fill(chunk);
    } else if (!chunk.contains(document.activeElement)) {
      chunk.stopping?.abort();
      chunk.replaceChildren();
    }
  }

  // Resolves when the chunk shows its items or an error.
  async fill(chunk) {
    const [offset, count] = [Number(chunk.dataset.offset), Number(chunk.dataset.count)];
    delete chunk.dataset.failed;
    if (!this.has(offset, count)) {
      chunk.replaceChildren(...Array.from({ length: count }, () => el("div", { class: "vgrid-cell skeleton", "aria-hidden": "true" })));
      chunk.stopping?.abort();
      const stopping = chunk.stopping = new AbortController();
      try {
        this.remember(offset, await this.load(offset, count, stopping.signal));
      } catch (error) {
        if (error.name === "AbortError" || stopping.signal.aborted) return;
        chunk.dataset.failed = "";
        chunk.replaceChildren(el("div", { class: "vgrid-failed" }, el("p", {}, error.message), button("Try again", { small: true, onclick: () => this.fill(chunk) })));
        return;
      }
      if (stopping.signal.aborted) return;
    }
    if (!chunk.isConnected) return;
    const cells = [];
    for (let index = offset; index < offset + count; index += 1) {
      const item = this.cache.get(index);
      if (item === undefined) break;
      cells.push(el("div", { class: "vgrid-cell", role: "listitem", "aria-setsize": this.total, "aria-posinset": index + 1 }, this.cell(item, index)));
    }
    chunk.replaceChildren(...cells);
  }

  remember(offset, items) {
    items.forEach((item, place) => { this.cache.delete(offset + place); this.cache.set(offset + place, item); });
    for (const index of this.cache.keys()) {
      if (this.cache.size <= MOST_KEPT) return;
      this.cache.delete(index);
    }
  }

  has(offset, count) {
    for (let index = offset; index < offset + count; index += 1) if (!this.cache.has(index)) return false;
    return true;
  }

  // The item at an index, loaded if necessary: for a lightbox that moves beyond the viewport.
  async item(index) {
    if (!this.cache.has(index)) this.remember(index, await this.load(index, Math.min(50, this.total - index)));
    return this.cache.get(index);
  }

  // ------------------------------------------------------------------------------------------ by keyboard

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.target.closest("input:not(.pick)")) return;
    const from = event.target.closest(".vgrid-cell")?.getAttribute("aria-posinset") - 1;
    const page = this.columns * Math.max(1, Math.floor(innerHeight / (this.height + this.gap)) - 1);
    const to = { ArrowRight: from + 1, ArrowLeft: from - 1, ArrowDown: from + this.columns, ArrowUp: from - this.columns, PageDown: from + page, PageUp: from - page, Home: 0, End: this.total - 1 }[event.key];
    if (!(from >= 0) || to === undefined) return;
    event.preventDefault();
    const single = event.key.startsWith("Arrow");
    if (single && (to < 0 || to >= this.total)) return;
    this.focus(Math.max(0, Math.min(this.total - 1, to)));
  }

  // Moves the focus to a cell, loading it first if necessary.
  async focus(index) {
    const mine = this.going = Symbol(index);
    const chunk = this.chunks[Math.floor(index / (this.columns * ROWS))];
    const found = () => chunk.querySelector(`[aria-posinset="${index + 1}"]`)?.querySelector("a[href], button, input");
    if (!found()) {
      chunk.scrollIntoView({ block: index === this.total - 1 ? "end" : "start" });
      await this.fill(chunk);
    }
    if (this.going !== mine) return;  // another key was pressed meanwhile
    found()?.focus({ preventScroll: true });
    found()?.scrollIntoView({ block: "nearest" });
    for (const one of this.chunks) if (one !== chunk && one.firstChild && !this.isNear(one)) one.replaceChildren();
  }

  // A chunk with the focus was kept when it left; now it can be emptied.
  isNear(chunk) {
    const { top, bottom } = chunk.getBoundingClientRect();
    const margin = Number.parseInt(NEAR, 10);
    return bottom > -margin && top < innerHeight + margin;
  }

  giveUp() {
    this.chunks?.forEach((chunk) => chunk.stopping?.abort());
  }

  close() {
    this.giveUp();
    this.watch.disconnect();
    this.resize.disconnect();
    document.removeEventListener("facewire:server", this.online);
  }
}

// Placeholders while the first page is loading.
export function loading(container, { minWidth = 150, height = 220, count = 12 } = {}) {
  container.replaceChildren(el("div", { class: "vgrid-chunk", role: "status", "aria-label": "Loading", style: { "--columns": Math.max(2, Math.floor(container.clientWidth / (minWidth + 16)) || 4), "--gap": "16px", "--cell": `${height}px` } },
    Array.from({ length: count }, () => el("div", { class: "vgrid-cell skeleton", "aria-hidden": "true" }))));
}

// A tile with a picture that may be missing.
export function picture(source, alt = "") {
  return el("img", { src: source, alt, loading: "lazy", decoding: "async", draggable: "false", on: { error: (event) => event.target.remove() } });
}
