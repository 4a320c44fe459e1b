// @ts-check
// A field for somebody's name, with the names of albums and of the gallery that match what is typed: an ARIA combobox.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { may, op } from "./api.js";
import { freshId, render } from "./view.js";
import { named, plural } from "./words.js";

const SOON_MS = 90; // after a key, so that fast typing asks once
const MOST = 6; // of each kind

// Names that contain `typed`: those of the album first, then the gallery's, then other albums'. [{name, from}]
async function namesLike(album, typed, signal) {
  const here = op("album.people", { album, contains: typed, show: "named", order: "photos", limit: MOST }, signal);
  const enrolled =
    may("enrol") || may("manage") ? op("people", { contains: typed, limit: MOST }, signal) : { people: [] };
  const [{ people }, gallery, { names }] = await Promise.all([
    here,
    enrolled,
    op("album.names", { contains: typed, limit: MOST }, signal),
  ]);
  const found = new Map();
  const add = (name, from) => {
    if (!found.has(name)) found.set(name, { name, from });
  };
  people.forEach((one) => add(one.name, `in ${plural(one.photos, "photo")} here`));
  gallery.people.forEach((one) => add(one.name, "in the gallery"));
  names.forEach((one) => add(one.name, "in another album"));
  return [...found.values()];
}

// {element, input, take}. `onname(name)`: Enter, or a name chosen from the list; with `optional`, none as well.
// `onkey(event)`: a key while the list is closed.
/**
 * @param {string} album
 * @param {{label: string, value?: string, placeholder?: string, optional?: boolean, onname: (name: string) => void,
 *   onkey?: (event: KeyboardEvent) => void}} options
 */
export function nameField(
  album,
  { label, value = "", placeholder = "Who is this?", optional = false, onname, onkey = () => {} },
) {
  const listId = freshId("names");
  const id = freshId("name");
  const element = document.createElement("div");
  element.className = "field name-field";
  let options = [];
  let active = -1;
  let timer;
  let asking = null;
  draw();
  const input = element.querySelector("input");

  function close() {
    clearTimeout(timer);
    asking?.abort();
    options = [];
    draw();
  }

  function draw() {
    active = Math.min(active, options.length - 1);
    render(
      html`<label for=${id}>${label}</label>
        <input
          id=${id}
          name="name"
          maxlength="200"
          dir="auto"
          autocomplete="off"
          autocapitalize="words"
          spellcheck="false"
          enterkeyhint="done"
          role="combobox"
          aria-autocomplete="list"
          aria-expanded=${options.length > 0}
          aria-controls=${listId}
          aria-activedescendant=${active < 0 ? nothing : `${listId}-${active}`}
          placeholder=${placeholder}
          value=${value}
          @input=${lookSoon}
          @blur=${close}
          @keydown=${key}
        />
        <ul id=${listId} class="name-list" role="listbox" aria-label="Names" ?hidden=${!options.length}>
          ${options.map(option)}
        </ul>`,
      element,
    );
    element.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }

  function option({ name, from }, index) {
    return html`<li
      id=${`${listId}-${index}`}
      role="option"
      aria-selected=${index === active}
      @pointerdown=${(event) => event.preventDefault()}
      @click=${() => take(name)}
    >
      ${named(name)}<span>${from}</span>
    </li>`;
  }

  async function look() {
    const typed = input.value.trim();
    asking?.abort();
    if (!typed) {
      close();
      return;
    }
    const mine = (asking = new AbortController());
    try {
      const found = await namesLike(album, typed, mine.signal);
      if (mine.signal.aborted || document.activeElement !== input) return;
      options = found;
      active = -1;
      draw();
    } catch {
      // without help, a name can still be typed
    }
  }

  function take(name) {
    close();
    if (name || optional) onname(name);
  }

  function lookSoon() {
    clearTimeout(timer);
    timer = setTimeout(look, SOON_MS);
  }

  function key(event) {
    if (event.isComposing) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Enter") {
      event.preventDefault();
      take((options[active]?.name ?? input.value).trim());
    } else if (step && options.length) {
      event.preventDefault();
      const places = options.length + 1; // the first is what was typed
      active = ((active + 1 + step + places) % places) - 1;
      draw();
    } else if (event.key === "Escape" && options.length) {
      event.preventDefault();
      event.stopPropagation();
      close();
    } else onkey(event);
  }

  return { element, input, take: () => take(input.value.trim()) };
}
