// @ts-check
// Chooses a folder on the server's own disk, below the import root.

import { html } from "../vendor/lit-html/lit-html.js";
import { op } from "./api.js";
import { openDialog } from "./dialogs.js";
import { button, errorState, icon } from "./view.js";
import { isolated, named, plural } from "./words.js";

// Resolves to the folder's name relative to the root ("" is the root itself), or null if the dialog was closed.
export function pickFolder() {
  return new Promise((resolve) => {
    let asked = "";
    let shown = { at: "", folders: [] };
    let problem = null; // why `asked` can't be shown
    let facts = "";
    let ready = false;
    let picked = null;
    const { dialog, draw } = openDialog("Import a folder from the server", content, {
      onsubmit: () => (picked = asked),
      onclose: () => resolve(picked),
    });

    async function open(folder) {
      asked = folder;
      ready = false;
      facts = "Looking …";
      draw();
      try {
        const { folders, total, pictures } = await op("album.folders", { folder });
        if (asked !== folder) return;
        shown = { at: folder, folders };
        problem = null;
        facts =
          `${plural(pictures, "picture")} and ${plural(total, "folder")} in here` +
          `${total > folders.length ? `; the first ${folders.length} are shown` : ""}.`;
        ready = Boolean(pictures || total);
      } catch (error) {
        if (asked !== folder) return;
        problem = error;
        facts = "";
      }
      draw();
    }

    function content() {
      const names = shown.at ? shown.at.split("/") : [];
      return html`
        <p>Includes all subfolders. The files stay where they are; the album gets copies.</p>
        <nav class="folder-path" aria-label="Folder">
          ${step("The server's folder", "")}
          ${names.map((name, place) => step(name, names.slice(0, place + 1).join("/")))}
        </nav>
        <div class="folder-list">
          ${problem ? errorState(problem, () => open(asked)) : shown.folders.map(folderButton)}
        </div>
        <p role="status">${facts}</p>
        <div class="row">
          ${button("Cancel", { onclick: () => dialog.close() })}
          <button class="button primary" type="submit" ?disabled=${!ready}>Import this folder</button>
        </div>
      `;
    }

    function step(name, to) {
      return button(isolated(name), {
        kind: "quiet",
        small: true,
        "aria-current": to === shown.at ? "location" : undefined,
        onclick: () => open(to),
      });
    }

    function folderButton(name) {
      const to = shown.at ? `${shown.at}/${name}` : name;
      return html`<button type="button" class="folder" @click=${() => open(to)}>
        ${icon("folder")}${named(name)}
      </button>`;
    }

    open("");
  });
}
