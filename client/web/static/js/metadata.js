// @ts-check
// Names in photos' metadata: whether photos that are added bring theirs, and whether downloaded copies get ours.

import { html } from "../vendor/lit-html/lit-html.js";
import { wantMetadata, wantsMetadata } from "./batches.js";
import { element } from "./view.js";

const EMBEDDED = "facewire-embedded";

export const wantsEmbedded = () => localStorage.getItem(EMBEDDED) === "1";

const tick = (label, title, checked, change) =>
  html`<label title=${title}>
    <input type="checkbox" .checked=${checked} @change=${({ target }) => change(target.checked)} />${label}
  </label>`;

export const metadataChoices = () =>
  element(
    html`<details class="metadata-choices">
      <summary>Names in metadata</summary>
      ${tick(
        "Take names from photos that are added",
        "Faces that digiKam, Lightroom, Windows and others have named: " +
          "from the XMP in the photos, and in XMP files beside them",
        wantsMetadata(),
        wantMetadata,
      )}
      ${tick(
        "Write names into JPEGs that are downloaded",
        "Into copies; other formats have an XMP file beside them, as all have without this",
        wantsEmbedded(),
        (wanted) => localStorage.setItem(EMBEDDED, wanted ? "1" : "0"),
      )}
    </details>`,
  );
