// @ts-check
// Tools of the lightbox: the photo on the whole screen, and one photo after the other.

import { button, element } from "./view.js";

const EACH_MS = 4000;

export function fullScreenTool() {
  let lightbox = null;
  const change = () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else lightbox?.view.requestFullscreen().catch(() => null); // the browser may refuse; the photo is still there
  };
  const toggle = element(
    button("", {
      name: "expand",
      kind: "on-dark",
      "aria-label": "Full screen",
      title: "Full screen (f)",
      hidden: !document.fullscreenEnabled,
      onclick: change,
    }),
  );
  return {
    button: toggle,
    keys: { f: change },
    show(_, shownIn) {
      lightbox = shownIn;
    },
    close() {
      if (document.fullscreenElement) document.exitFullscreen();
    },
  };
}

export function slideshowTool() {
  let lightbox = null;
  let timer = null;
  let playing = false;
  const toggle = element(
    button("", {
      name: "play",
      kind: "on-dark",
      "aria-label": "Slideshow",
      title: "Slideshow (p)",
      "aria-pressed": "false",
      onclick: () => play(!playing),
    }),
  );

  function play(so) {
    playing = so;
    toggle.setAttribute("aria-pressed", String(so));
    lightbox.dialog.toggleAttribute("data-playing", so); // without boxes
    soon();
  }

  // After the last photo, the first again.
  function soon() {
    clearTimeout(timer);
    if (!playing) return;
    const { index, total } = lightbox;
    lightbox.item((index + 1) % total).then(
      (next) => {
        if (next) new Image().src = next.full;
      },
      () => null,
    );
    timer = setTimeout(() => lightbox.show((index + 1) % total), EACH_MS);
  }

  return {
    button: toggle,
    keys: { p: () => play(!playing) },
    show(_, shownIn) {
      lightbox = shownIn;
      soon();
    },
    close() {
      clearTimeout(timer);
    },
  };
}
