// Chooses a folder on the server's own disk, below the import root.

import { op } from "./api.js";
import { button, el, errorState, freshId, icon, plural, redraw } from "./dom.js";

// Resolves to the folder's name relative to the root ("" is the root itself), or null if the dialog was closed.
export function pickFolder() {
  return new Promise((resolve) => {
    let at = "";
    let picked = null;
    const heading = el("h2", { id: freshId("title") }, "Import a folder of the server");
    const where = el("nav", { class: "folder-path", "aria-label": "Folder" });
    const list = el("div", { class: "folder-list" });
    const facts = el("p", { role: "status" });
    const submit = el("button", { class: "button primary", type: "submit" }, "Import this folder");
    const form = el("form", { method: "dialog" }, heading, el("p", {}, "With everything below it. The files stay where they are; the album gets copies."), where, list, facts,
      el("div", { class: "row" }, button("Cancel", { onclick: () => dialog.close() }), submit));
    const dialog = el("dialog", { "aria-labelledby": heading.id }, form);

    async function open(folder) {
      at = folder;
      submit.disabled = true;
      facts.textContent = "Looking …";
      try {
        const { folders, total, pictures } = await op("album.folders", { folder });
        if (at !== folder) return;
        draw(folders);
        facts.textContent = `${plural(pictures, "picture")} and ${plural(total, "folder")} in here${total > folders.length ? `; the first ${folders.length} are shown` : ""}.`;
        submit.disabled = !pictures && !total;
      } catch (error) {
        facts.textContent = "";
        list.replaceChildren(errorState(error, () => open(folder)));
      }
    }

    function draw(folders) {
      const names = at ? at.split("/") : [];
      const step = (name, to) => button(name, { kind: "quiet", small: true, "aria-current": to === at ? "location" : undefined, onclick: () => open(to) });
      redraw(where, step("The server's folder", ""), names.map((name, place) => step(name, names.slice(0, place + 1).join("/"))));
      redraw(list, folders.map((name) => el("button", { type: "button", class: "folder", on: { click: () => open(at ? `${at}/${name}` : name) } }, icon("folder"), name)));
    }

    form.addEventListener("submit", () => { picked = at; });
    dialog.addEventListener("close", () => { dialog.remove(); resolve(picked); });
    document.body.append(dialog);
    dialog.showModal();
    open("");
  });
}
