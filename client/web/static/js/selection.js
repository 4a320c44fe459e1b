// @ts-check
// Choosing many entries of a grid: by their boxes, with Shift for all between, by a long press on a touch screen, and
// with x and Shift+X on the keyboard. While something is chosen, a click on any entry chooses it instead of opening it.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { failed } from "./shell.js";
import { button, element, render } from "./view.js";
import { plural, whole } from "./words.js";

const LONG_MS = 480; // of a press, as on phones
const STILL_PX = 10; // a finger that moves farther scrolls

export class Selection {
  chosen = new Map(); // items by their ids
  last = null; // the place of the one chosen last: where a range begins
  ignored = false; // the click that ends a long press
  pressing = null;

  // `grid`: a Grid; `id(item)`; `what`: [one, many]; `actions(items)`: buttons for the chosen items.
  constructor(grid, { id, what, actions }) {
    this.grid = grid;
    this.id = id;
    this.what = what;
    this.actions = actions;
    this.bar = element(
      html`<div class="selection" role="toolbar" aria-label=${`Of the chosen ${what[1]}`} hidden></div>`,
    );
    const { root } = grid;
    root.addEventListener("click", (event) => this.clicked(event), true);
    root.addEventListener("keydown", (event) => this.key(event));
    root.addEventListener("pointerdown", (event) => this.pressed(event));
    root.addEventListener("contextmenu", (event) => {
      if (this.pressing) event.preventDefault();
    });
    for (const kind of ["pointermove", "pointerup", "pointercancel"])
      root.addEventListener(kind, (event) => this.released(event));
  }

  // The box of an entry, for its cell.
  box(item, label) {
    return html`<input type="checkbox" class="pick" aria-label=${label} .checked=${this.chosen.has(this.id(item))} />`;
  }

  get items() {
    return [...this.chosen.values()];
  }

  clear() {
    this.chosen.clear();
    this.draw();
  }

  // -------------------------------------------------------------------------------------------- what chooses

  clicked(event) {
    const index = this.indexOf(event.target);
    if (!(index >= 0)) return;
    if (this.ignored) {
      this.ignored = false;
      event.preventDefault();
      event.stopPropagation();
      return;
    }
    const onBox = event.target.closest(".pick");
    if (
      !onBox &&
      !(event.target.closest(".tile") && (this.chosen.size || event.ctrlKey || event.metaKey || event.shiftKey))
    )
      return;
    event.stopPropagation();
    if (!onBox) event.preventDefault();
    this.toggle(index, event.shiftKey);
  }

  key(event) {
    if (event.target.closest("input:not(.pick)")) return;
    const index = this.indexOf(event.target);
    if (event.key.toLowerCase() === "x" && index >= 0 && !event.ctrlKey && !event.metaKey && !event.altKey)
      this.toggle(index, event.shiftKey);
    else if (event.key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey))
      this.range(0, this.grid.total - 1, true);
    else if (event.key === "Escape" && this.chosen.size) this.clear();
    else return;
    event.preventDefault();
  }

  pressed(event) {
    this.ignored = false;
    const tile = event.target.closest(".tile");
    if (event.pointerType !== "touch" || !tile) return;
    const dragged = tile.draggable;
    tile.draggable = false; // else a long press begins to drag
    this.pressing = {
      x: event.clientX,
      y: event.clientY,
      tile,
      dragged,
      timer: setTimeout(() => {
        this.ignored = true;
        this.toggle(this.indexOf(tile));
      }, LONG_MS),
    };
  }

  released(event) {
    const { pressing } = this;
    if (
      !pressing ||
      (event.type === "pointermove" && Math.hypot(event.clientX - pressing.x, event.clientY - pressing.y) < STILL_PX)
    )
      return;
    clearTimeout(pressing.timer);
    pressing.tile.draggable = pressing.dragged;
    this.pressing = null;
  }

  indexOf(target) {
    return Number(target.closest(".vgrid-cell")?.getAttribute("aria-posinset") ?? 0) - 1;
  }

  async toggle(index, asRange = false) {
    const item = await this.grid.item(index);
    const so = !this.chosen.has(this.id(item));
    const from = asRange && this.last !== null ? this.last : index;
    this.last = index;
    this.put([item], so);
    if (from !== index) this.range(Math.min(from, index), Math.max(from, index), so);
  }

  async range(first, last, so) {
    try {
      this.put(await this.grid.items(first, last), so);
    } catch (error) {
      failed(error);
    }
  }

  put(items, so) {
    items.forEach((item) => (so ? this.chosen.set(this.id(item), item) : this.chosen.delete(this.id(item))));
    this.draw();
  }

  // -------------------------------------------------------------------------------------------- what is shown

  draw() {
    const { size } = this.chosen;
    this.grid.root.toggleAttribute("data-choosing", size > 0);
    this.grid.draw();
    this.bar.hidden = !size;
    if (!size) this.last = null;
    render(size ? this.tools() : null, this.bar);
  }

  tools() {
    const { total } = this.grid;
    const all = { kind: "quiet", small: true, onclick: () => this.range(0, total - 1, true) };
    return html`<strong role="status">${plural(this.chosen.size, ...this.what)} chosen</strong>
      ${this.actions(this.items)} ${this.chosen.size < total ? button(`All ${whole(total)}`, all) : nothing}
      ${button("Clear", {
        name: "close",
        kind: "quiet",
        small: true,
        "aria-label": "Clear the selection",
        onclick: () => this.clear(),
      })}`;
  }
}
