// @ts-check
// Photos that somebody likes best.

import { op } from "./api.js";
import { ofAlbum, tellChange } from "./changes.js";
import { failed } from "./shell.js";
import { button, element } from "./view.js";

// Marks photos as favourites or not, on the server and on their tiles; true if that worked.
export async function mark(context, photos, favourite) {
  try {
    await op("album.favourite", { album: context.album, photos: photos.map(({ photo }) => photo), favourite });
  } catch (error) {
    failed(error);
    return false;
  }
  for (const one of photos) {
    one.favourite = favourite;
    document.querySelectorAll(`[data-photo="${one.photo}"]`).forEach((tile) => showMark(tile, favourite));
  }
  tellChange(ofAlbum(context.album));
  context.refresh();
  return true;
}

// Tiles are changed where they are: those of other views than photoGrid's are not drawn again.
function showMark(tile, favourite) {
  tile.toggleAttribute("data-favourite", favourite);
  tile.setAttribute("aria-label", labelled(tile.getAttribute("aria-label").replace(MARK, ""), favourite));
}

const MARK = /, a favourite$/;
export const labelled = (label, favourite) => `${label}${favourite ? ", a favourite" : ""}`;

// A tool of the lightbox.
export function favouriteTool(context) {
  let photo = null;
  const toggle = async () => {
    if (await mark(context, [photo], !photo.favourite)) draw();
  };
  const heart = element(
    button("", {
      name: "heart",
      kind: "on-dark",
      "aria-label": "A favourite",
      title: "A favourite (*)",
      "aria-pressed": "false",
      onclick: toggle,
    }),
  );
  const draw = () => heart.setAttribute("aria-pressed", String(Boolean(photo.favourite)));
  return {
    button: heart,
    keys: { "*": toggle },
    show(item) {
      photo = item.source;
      draw();
    },
  };
}
