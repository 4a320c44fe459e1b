// Questions to the gateway. Every change carries the CSRF token; every failure is an ApiError.

const csrf = document.querySelector('meta[name="csrf-token"]').content;

export class ApiError extends Error {
  constructor(code, message, status = 0, retryAfterMs = null) {
    super(message);
    this.code = code;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function send(address, options, patience = 3) {
  let response;
  try {
    response = await fetch(address, { ...options, headers: { "X-CSRF-Token": csrf, ...options.headers }, credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    tell("gateway");
    throw new ApiError("gateway", "The program that shows this page is not running any more. Start it again: python web_app.py");
  }
  if (response.ok) {
    tell("online");
    return response.status === 204 ? null : response.json();
  }
  const error = await errorOf(response);
  if (error.code === "unauthorized") location.assign("/login");
  if (error.code === "stale") location.reload();
  if (error.code === "offline") tell("offline");
  if (error.code === "busy" && patience > 0) {  // the server says when to come back
    await pause(error.retryAfterMs ?? 500);
    return send(address, options, patience - 1);
  }
  throw error;
}

async function errorOf(response) {
  try {
    const { error } = await response.json();
    return new ApiError(error.code, error.message, response.status, error.retry_after_ms);
  } catch {
    return new ApiError("internal", `The page's gateway failed (${response.status}).`, response.status);
  }
}

let known = document.body.hasAttribute("data-offline") ? "offline" : "online";

function tell(now) {
  if (now === known) return;
  known = now;
  document.dispatchEvent(new CustomEvent("facewire:server", { detail: now }));
}

export const connection = () => known;

const query = (parameters) => new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null)).toString();

// An operation of the wire, by its name and keys.
export function op(name, keys = {}, signal = undefined) {
  return send(`/api/op/${name}`, { method: "POST", body: JSON.stringify(keys), headers: { "Content-Type": "application/json" }, signal });
}

// Every item of a list that comes in pages; `key` is what the answer calls them.
export async function everything(name, key, keys = {}) {
  const items = [];
  for (;;) {
    const page = await op(name, { ...keys, offset: items.length, limit: 1000 });
    items.push(...page[key]);
    if (!page[key].length || items.length >= page.total) return items;
  }
}

// Begins to import a folder of the server's own disk; how far the last import into an album is, null where there was none.
export const importFolder = (album, folder) => send("/api/album/import", { method: "POST", body: JSON.stringify({ album, folder }), headers: { "Content-Type": "application/json" } });
export const lastImport = (album) => send(address("/api/album/import", { album }), {});

// Sent even while the page is being closed.
export const parting = (name, keys) => fetch(`/api/op/${name}`, { method: "POST", body: JSON.stringify(keys), headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf }, credentials: "same-origin", keepalive: true }).catch(() => null);

const maxPicture = Number(document.body.dataset.maxPicture);

// A picture, or a piece of a ZIP, as it is.
export async function upload(address, parameters, body, signal = undefined) {
  if (body.size > maxPicture) throw new ApiError("too_large", `This picture has more than the ${Math.floor(maxPicture / 1048576)} MiB that can be sent.`, 413);
  return send(`${address}?${query(parameters)}`, { method: "POST", body, headers: { "Content-Type": "application/octet-stream" }, signal });
}

// A form with one part of JSON and pictures.
export function form(address, part, keys, pictures = [], signal = undefined) {
  const data = new FormData();
  data.append(part, JSON.stringify(keys));
  pictures.forEach((picture) => data.append("picture", picture, "picture"));
  return send(address, { method: "POST", body: data, signal });
}

export const address = (path, parameters) => `${path}?${query(parameters)}`;
