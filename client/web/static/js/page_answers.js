// @ts-check
// What a page brings along: its first screen, drawn by the gateway, and the answers to what its scripts ask first. Each
// answer is given once, and only to begin with: later they would be old.

const element = document.getElementById("answers");
const asked = (op, keys) => JSON.stringify([op, Object.entries(keys).sort()]);

/** @type {Map<string, any>} */
const held = new Map(
  element ? JSON.parse(element.textContent ?? "").map(({ op, keys, answer }) => [asked(op, keys), answer]) : [],
);

// Did the page bring its first screen?
export const brought = held.size > 0;

// The page's answer to an operation, or undefined.
export function answerOf(op, keys) {
  const question = asked(op, keys);
  const answer = held.get(question);
  held.delete(question);
  return answer;
}

/** @type {Map<string, HTMLImageElement>} */
const pictures = new Map();

// Has `draw` replace the first screen in `container`, from the page's answers and so before anything is painted. Its
// pictures are taken over, and the focus and the place on the page are kept. From then on the server is asked.
export function takeOver(container, draw) {
  for (const image of container.querySelectorAll(".first img")) pictures.set(image.getAttribute("src"), image);
  const focused = container.contains(document.activeElement) ? document.activeElement?.getAttribute("href") : null;
  container.style.setProperty("min-height", `${container.offsetHeight}px`);
  document.querySelectorAll(".at").forEach((one) => one.remove());
  draw();
  setTimeout(() => {
    container.style.removeProperty("min-height");
    pictures.clear();
    held.clear();
    if (!focused || document.activeElement !== document.body) return;
    const photo = focused.split("#/photos/")[1];
    container
      .querySelector(photo ? `[data-photo="${CSS.escape(photo)}"]` : `a[href="${CSS.escape(focused)}"]`)
      ?.focus({ preventScroll: true });
  });
}

// The first screen's own element for a picture, once; undefined if there is none, or it could not be loaded.
export function takePicture(source) {
  const image = pictures.get(source);
  pictures.delete(source);
  if (!image || (image.complete && !image.naturalWidth)) return undefined;
  image.className = "";
  return image;
}
