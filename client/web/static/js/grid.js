// @ts-check
// A grid of any length that keeps only the elements near the viewport.
//
// All cells have the same size, so a chunk's height is known before it is loaded: the scroll bar is right from the
// start, and nothing jumps. Items may be in sections, each under a heading. A chunk is fetched when it comes near,
// cancelled if it leaves before its items arrive, and emptied when it is far away again. Arrows, Home, End, Page Up and
// Page Down move the focus to any cell.

import { html } from "../vendor/lit-html/lit-html.js";
import { button, element, freshId, render } from "./view.js";
import { plural } from "./words.js";

const ROWS = 8; // per chunk
const NEAR = "900px 0px"; // above and below the screen
const MOST_KEPT = 3000; // cached items, so that scrolling back a little needs no request
const PAGE = 100; // items that every list gives at once
const SKIPPABLE = 30; // more cells than that can be jumped over with one Tab

export class Grid {
  total = 0;
  sections = []; // [{title, count, id: of its heading}]
  heads = []; // the headings, as elements
  chunks = []; // [{offset, count, room: its element, open, loading, problem, stopping}]
  chunkIn = new WeakMap(); // by its room
  cache = new Map(); // items by their places
  columns = 0;
  height = 0; // of a cell
  going = null;

  // `load(offset, limit, signal)` resolves to the items; `cell(item, index)` gives a template; `cellHeight(width)` in
  // pixels.
  constructor(container, { load, cell, minWidth = 150, gap = 16, cellHeight, label }) {
    this.container = container;
    this.load = load;
    this.cell = cell;
    this.minWidth = minWidth;
    this.gap = gap;
    this.cellHeight = cellHeight;
    this.label = label;
    this.root = element(html`<div class="vgrid" @keydown=${(event) => this.key(event)}></div>`);
    this.after = element(html`<span tabindex="-1"></span>`);
    this.watch = new IntersectionObserver((seen) => seen.forEach((one) => this.turn(one.target, one.isIntersecting)), {
      rootMargin: NEAR,
    });
    this.resize = new ResizeObserver(() => this.layOut());
    this.online = (event) => {
      if (event.detail === "online")
        this.chunks.filter(({ open, problem }) => open && problem).forEach((chunk) => this.fill(chunk));
    };
    document.addEventListener("facewire:server", this.online);
  }

  // Shows `total` items, loaded on demand. `first`: the first items, if already loaded; `sections`: [{title, count}].
  show(total, first = [], sections = null) {
    this.total = total;
    this.sections = (sections ?? [{ count: total }]).map((one) => ({ ...one, id: freshId("section") }));
    this.cache = new Map(first.map((item, index) => [index, item]));
    this.columns = 0;
    const skip = () => this.after.focus();
    render(
      html`<button type="button" class="skip-grid" ?hidden=${total <= SKIPPABLE} @click=${skip}>
          Skip ${plural(total, "entry", "entries")}: ${this.label}
        </button>
        ${this.root}${this.after}`,
      this.container,
    );
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
    Object.entries({ columns, gap: `${this.gap}px`, cell: `${height}px` }).forEach(([name, value]) =>
      this.root.style.setProperty(`--${name}`, value),
    );
    this.giveUp();
    this.watch.disconnect();
    this.chunks = [];
    let begin = 0;
    const lists = this.sections.map((section) => {
      const chunks = this.chunksOf(begin, section.count);
      begin += section.count;
      this.chunks.push(...chunks);
      return this.list(section, chunks);
    });
    render(lists, this.root);
    this.heads = [...this.root.querySelectorAll(".vgrid-head")];
    this.chunks.forEach(({ room }) => this.watch.observe(room));
    // What is there already is drawn before the next frame, not after it
    for (const chunk of this.chunks) {
      if (!this.isNear(chunk.room) || !this.has(chunk.offset, chunk.count)) break;
      this.fill(chunk);
    }
  }

  list({ title, count, id }, chunks) {
    const rooms = chunks.map(({ room }) => room);
    return title
      ? html`<h2 class="vgrid-head" id=${id}>${title}<span>${plural(count, "photo")}</span></h2>
          <div role="list" aria-labelledby=${id}>${rooms}</div>`
      : html`<div role="list" aria-label=${this.label}>${rooms}</div>`;
  }

  // Of the items from `begin` on.
  chunksOf(begin, items) {
    const size = this.columns * ROWS;
    return Array.from({ length: Math.ceil(items / size) }, (_, place) => {
      const offset = begin + place * size;
      const count = Math.min(size, begin + items - offset);
      const height = Math.ceil(count / this.columns) * (this.height + this.gap);
      const room = element(html`<div class="vgrid-chunk" role="presentation" .style=${`height: ${height}px`}></div>`);
      const chunk = { room, offset, count, open: false, loading: false, problem: null, stopping: null };
      this.chunkIn.set(room, chunk);
      return chunk;
    });
  }

  turn(room, near) {
    const chunk = this.chunkIn.get(room);
    if (near) {
      if (!chunk.open) this.fill(chunk);
    } else if (!room.contains(document.activeElement)) this.empty(chunk);
  }

  empty(chunk) {
    chunk.stopping?.abort();
    chunk.open = false;
    render(null, chunk.room);
  }

  // Resolves when the chunk shows its items or an error.
  async fill(chunk) {
    const { offset, count } = chunk;
    chunk.open = true;
    chunk.problem = null;
    if (!this.has(offset, count)) {
      chunk.stopping?.abort();
      const stopping = (chunk.stopping = new AbortController());
      chunk.loading = true;
      this.drawChunk(chunk);
      try {
        this.remember(offset, await this.load(offset, count, stopping.signal));
      } catch (error) {
        if (error.name === "AbortError" || stopping.signal.aborted) return;
        chunk.problem = error;
      }
      if (stopping.signal.aborted) return;
    }
    chunk.loading = false;
    this.drawChunk(chunk);
  }

  // Shows what is in the cells as it is now.
  draw() {
    this.chunks.filter(({ open }) => open).forEach((chunk) => this.drawChunk(chunk));
  }

  drawChunk(chunk) {
    render(this.contentOf(chunk), chunk.room);
  }

  contentOf(chunk) {
    const { offset, count, loading: awaited, problem } = chunk;
    if (awaited) return Array.from({ length: count }, () => SKELETON);
    if (problem)
      return html`<div class="vgrid-failed">
        <p>${problem.message}</p>
        ${button("Try again", { small: true, onclick: () => this.fill(chunk) })}
      </div>`;
    const cells = [];
    for (let index = offset; index < offset + count && this.cache.has(index); index += 1)
      cells.push(
        html`<div class="vgrid-cell" role="listitem" aria-setsize=${this.total} aria-posinset=${index + 1}>
          ${this.cell(this.cache.get(index), index)}
        </div>`,
      );
    return cells;
  }

  remember(offset, items) {
    items.forEach((item, place) => {
      this.cache.delete(offset + place);
      this.cache.set(offset + place, item);
    });
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

  // All from `first` to `last`, however many of them are cached.
  async items(first, last) {
    const found = [];
    while (first + found.length <= last) {
      const offset = first + found.length;
      const some = this.cache.has(offset)
        ? [this.cache.get(offset)]
        : await this.load(offset, Math.min(PAGE, last - offset + 1));
      if (!some.length) break; // some were removed meanwhile
      found.push(...some);
    }
    return found;
  }

  // ------------------------------------------------------------------------------------------ by keyboard

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.target.closest("input:not(.pick)"))
      return;
    const from = event.target.closest(".vgrid-cell")?.getAttribute("aria-posinset") - 1;
    const page = this.columns * Math.max(1, Math.floor(innerHeight / (this.height + this.gap)) - 1);
    const to = {
      ArrowRight: from + 1,
      ArrowLeft: from - 1,
      ArrowDown: from + this.columns,
      ArrowUp: from - this.columns,
      PageDown: from + page,
      PageUp: from - page,
      Home: 0,
      End: this.total - 1,
    }[event.key];
    if (!(from >= 0) || to === undefined) return;
    event.preventDefault();
    const single = event.key.startsWith("Arrow");
    if (single && (to < 0 || to >= this.total)) return;
    this.focus(Math.max(0, Math.min(this.total - 1, to)));
  }

  // Moves the focus to a cell, loading it first if necessary.
  async focus(index) {
    const mine = (this.going = Symbol(index));
    const chunk = this.chunks.findLast(({ offset }) => offset <= index);
    const found = () =>
      chunk.room.querySelector(`[aria-posinset="${index + 1}"]`)?.querySelector("a[href], button, input");
    if (!found()) {
      chunk.room.scrollIntoView({ block: index === this.total - 1 ? "end" : "start" });
      await this.fill(chunk);
    }
    if (this.going !== mine) return; // another key was pressed meanwhile
    found()?.focus({ preventScroll: true });
    found()?.scrollIntoView({ block: "nearest" });
    for (const one of this.chunks) if (one !== chunk && one.open && !this.isNear(one.room)) this.empty(one);
  }

  // A chunk with the focus was kept when it left; now it can be emptied.
  isNear(room) {
    const { top, bottom } = room.getBoundingClientRect();
    const margin = Number.parseInt(NEAR, 10);
    return bottom > -margin && top < innerHeight + margin;
  }

  giveUp() {
    this.chunks.forEach((chunk) => chunk.stopping?.abort());
  }

  close() {
    this.giveUp();
    this.chunks = [];
    this.watch.disconnect();
    this.resize.disconnect();
    document.removeEventListener("facewire:server", this.online);
  }
}

const SKELETON = html`<div class="vgrid-cell skeleton" aria-hidden="true"></div>`;
