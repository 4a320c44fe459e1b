// @ts-check
// Code that the first screen doesn't need: it comes when the page is idle, or when it is used before that.

import { ApiError } from "./asking.js";
import { errorState, loading, render } from "./view.js";

const IDLE_MS = 300;

// `load` imports modules. Gives a function that resolves to them; rejects with an ApiError if they can't be had.
export function later(load) {
  const soon = () => setTimeout(() => load().catch(() => null), IDLE_MS); // whoever needs it is told
  if (document.readyState === "complete") soon();
  else addEventListener("load", soon);
  return async () => {
    try {
      return await load();
    } catch {
      throw new ApiError("gateway", "A part of this page can't be loaded. Reload it when its gateway is there again.");
    }
  };
}

// A view of an album whose code comes later: `get` resolves to the function that shows it.
export const viewLater = (get) => (container, context) => {
  let view = null;
  let closed = false;
  const show = () => {
    render(loading(container), container);
    get().then(
      (shows) => {
        if (!closed) view = shows(container, context);
      },
      (error) => {
        if (!closed) render(errorState(error, show), container);
      },
    );
  };
  show();
  return {
    close() {
      closed = true;
      view?.close?.();
    },
    stale: (finished) => view?.stale?.(finished),
    online: (finished) => (view ? (view.online ?? view.stale)?.(finished) : show()),
    refreshed: () => view?.refreshed?.(),
    renamed: () => view?.renamed?.(),
  };
};
