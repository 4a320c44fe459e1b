// @ts-check
// Names somebody where they are shown: on a tile of a grid, and beside a photo in the lightbox.

import { html } from "../vendor/lit-html/lit-html.js";
import { op } from "./api.js";
import { ofAlbum, tellChange } from "./changes.js";
import { faceAddress } from "./album_people.js";
import { nameField } from "./name_field.js";
import { button, element, picture, render } from "./view.js";

// Lays a field over `cell`, the grid cell of `person`; it goes away with Escape, or when the focus does.
export function nameTile(context, cell, person) {
  const { album } = context;
  // Removing the field takes the focus from it, which would remove it once more.
  let gone = false;
  const close = () => {
    if (gone) return;
    gone = true;
    over.remove();
  };
  const back = () => {
    close();
    cell.querySelector("a[href], button")?.focus({ preventScroll: true });
  };
  const field = nameField(album, {
    label: "Name",
    value: person.name ?? "",
    onname: (name) => {
      close();
      context.change(() => op("album.label", { album, person: person.person, name }));
    },
    onkey: (event) => {
      if (event.key === "Escape") back();
    },
  });
  const left = ({ relatedTarget }) => {
    if (!over.contains(relatedTarget)) close();
  };
  const over = element(html`<div class="name-over" @focusout=${left}>${field.element}</div>`);
  cell.append(over);
  field.input.focus();
  field.input.select();
}

// A tool of the lightbox: everybody in the photo, each with a field.
export function namesTool(context) {
  const { album } = context;
  const panel = document.createElement("div");
  panel.className = "lightbox-names";
  panel.hidden = true;
  const toggle = element(
    button("", {
      name: "edit",
      kind: "on-dark",
      "aria-label": "Name the faces",
      title: "Name the faces (n)",
      "aria-expanded": "false",
      onclick: () => open(panel.hidden),
    }),
  );
  let photo = null;
  let lightbox = null;
  let named = false;
  let fields = []; // [{face, element, input}], kept while somebody may type in one
  let problem = "";

  function open(so) {
    panel.hidden = !so;
    toggle.setAttribute("aria-expanded", String(so));
    if (so) load(true);
    lightbox?.layOut();
  }

  async function load(focus = false) {
    const mine = photo;
    try {
      const { faces } = await op("album.faces", { album, photo: mine });
      if (mine !== photo) return;
      fields = faces.map(fieldOf);
      problem = "";
      draw();
      if (focus) firstToName()?.focus();
    } catch (error) {
      fields = [];
      problem = error.message;
      draw();
    }
    lightbox?.layOut();
  }

  /** @returns {HTMLElement} */
  const firstToName = () => panel.querySelector("input:placeholder-shown") ?? panel.querySelector("input");

  function fieldOf(face) {
    const field = nameField(album, {
      label: "Name",
      value: face.name ?? "",
      onname: (name) => give(face, field, name),
    });
    field.input.disabled = face.person === null; // it is not sorted yet
    return { face, ...field };
  }

  const draw = () =>
    render(
      [
        problem ? html`<p role="alert">${problem}</p>` : null,
        fields.length
          ? html`<ul>
              ${fields.map(entry)}
            </ul>`
          : null,
        fields.length || problem ? null : html`<p>No faces were found in this photo.</p>`,
      ],
      panel,
    );

  const entry = ({ face, element }) => html`<li>${picture(faceAddress(album, face.face, 160))}${element}</li>`;

  async function give(face, { input }, name) {
    input.disabled = true;
    try {
      await op("album.label", { album, person: face.person, name });
      named = true;
      tellChange(ofAlbum(album));
      context.refresh();
      await load(true);
      lightbox.showFaces();
    } catch (error) {
      problem = error.message;
      draw();
      input.disabled = false;
    }
  }

  return {
    button: toggle,
    panel,
    keys: { n: () => open(panel.hidden) },
    close() {
      if (named) context.renamed();
    },
    show(item, shownIn) {
      lightbox = shownIn;
      photo = item.photo;
      render(null, panel);
      if (!panel.hidden) load();
    },
  };
}
