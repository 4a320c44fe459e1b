// @ts-check
// A photo of an album has an address: that of the view it was opened in, and its number (`#/photos/12`,
// `#/person/3/photos/12`).

// {view: the view's own hash, photo: the number or null}
export function placeOf(hash) {
  const parts = hash.split("/");
  const at = parts.lastIndexOf("photos");
  if (at < 1 || !/^\d+$/.test(parts[at + 1] ?? "")) return { view: hash, photo: null };
  return { view: parts.slice(0, at === 1 ? 2 : at).join("/"), photo: Number(parts[at + 1]) };
}

// The hash of a photo, opened from where the page is now.
export function photoHash(photo) {
  const { view } = placeOf(location.hash);
  return view === "#/photos" ? `${view}/${photo}` : `${view || "#/people"}/photos/${photo}`;
}
