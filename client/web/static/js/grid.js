// A grid of any length that holds only what is near the screen.
//
// Cells have one size, so a chunk's height is known before it is loaded: the scroll bar is right from the start, and
// nothing jumps. A chunk is fetched when it comes near, and emptied when it is far away again.

import { el, setStyle } from "./dom.js";

const ROWS = 8;             // of a chunk
const NEAR = "900px 0px";   // above and below the screen

export class Grid {
  // `load(offset, limit)` resolves to the items; `cell(item, index)` gives an element; `cellHeight(width)` in pixels.
  constructor(container, { load, cell, minWidth = 150, gap = 16, cellHeight, label }) {
    Object.assign(this, { container, load, cell, minWidth, gap, cellHeight });
    this.root = el("div", { class: "vgrid", role: "list", "aria-label": label });
    container.replaceChildren(this.root);
    this.watch = new IntersectionObserver((seen) => seen.forEach((one) => this.turn(one.target, one.isIntersecting)), { rootMargin: NEAR });
    this.resize = new ResizeObserver(() => this.layOut());
    this.total = 0;
    this.generation = 0;
  }

  // Shows `total` items, loaded as they are needed. `first`: the first items, where they are there already.
  show(total, first = []) {
    this.total = total;
    this.cache = new Map(first.map((item, index) => [index, item]));
    this.columns = 0;
    this.generation += 1;
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
    this.watch.disconnect();
    const size = columns * ROWS;
    const chunks = [];
    for (let offset = 0; offset < this.total; offset += size) {
      const count = Math.min(size, this.total - offset);
      const rows = Math.ceil(count / columns);
      chunks.push(el("div", { class: "vgrid-chunk", role: "presentation", data: { offset, count }, style: { height: `${rows * (height + this.gap)}px` } }));
    }
    this.root.replaceChildren(...chunks);
    chunks.forEach((chunk) => this.watch.observe(chunk));
  }

  async turn(chunk, near) {
    if (!near) {
      if (!chunk.contains(document.activeElement)) chunk.replaceChildren();
      return;
    }
    if (chunk.firstChild) return;
    const offset = Number(chunk.dataset.offset);
    const count = Number(chunk.dataset.count);
    const generation = this.generation;
    if (!this.has(offset, count)) {
      chunk.replaceChildren(...Array.from({ length: count }, () => el("div", { class: "vgrid-cell skeleton", "aria-hidden": "true" })));
      try {
        const items = await this.load(offset, count);
        if (generation !== this.generation) return;
        items.forEach((item, place) => this.cache.set(offset + place, item));
      } catch (error) {
        chunk.replaceChildren(el("p", { class: "sub" }, error.message));
        return;
      }
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

  has(offset, count) {
    for (let index = offset; index < offset + count; index += 1) if (!this.cache.has(index)) return false;
    return true;
  }

  // The item there, loaded if need be: for a lightbox that walks past the edge of what is on the screen.
  async item(index) {
    if (!this.cache.has(index)) {
      const items = await this.load(index, Math.min(50, this.total - index));
      items.forEach((item, place) => this.cache.set(index + place, item));
    }
    return this.cache.get(index);
  }

  close() {
    this.generation += 1;
    this.watch.disconnect();
    this.resize.disconnect();
  }
}

// Skeletons while the first page is on its way.
export function loading(container, { minWidth = 150, height = 220, count = 12 } = {}) {
  container.replaceChildren(el("div", { class: "vgrid-chunk", role: "status", "aria-label": "Loading", style: { "--columns": Math.max(2, Math.floor(container.clientWidth / (minWidth + 16)) || 4), "--gap": "16px", "--cell": `${height}px` } },
    Array.from({ length: count }, () => el("div", { class: "vgrid-cell skeleton", "aria-hidden": "true" }))));
}

// A tile with a picture that may be missing.
export function picture(source, alt = "") {
  return el("img", { src: source, alt, loading: "lazy", decoding: "async", draggable: "false", on: { error: (event) => event.target.remove() } });
}
