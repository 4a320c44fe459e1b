// Dropping one person on another, which merges them. By keyboard the same is a button's dialog, elsewhere.

let dragged = null;

// Makes `tile` draggable as `person`; `onmerge(dragged, person)` when another one is dropped on it.
export function mergeable(tile, person, onmerge) {
  tile.draggable = true;
  tile.addEventListener("dragstart", (event) => {
    dragged = person;
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", "");
    tile.classList.add("dragging");
  });
  tile.addEventListener("dragend", () => { dragged = null; tile.classList.remove("dragging"); });
  tile.addEventListener("dragover", (event) => {
    if (!dragged || dragged === person) return;
    event.preventDefault();
    tile.classList.add("dropping");
  });
  tile.addEventListener("dragleave", () => tile.classList.remove("dropping"));
  tile.addEventListener("drop", (event) => {
    tile.classList.remove("dropping");
    if (!dragged || dragged === person) return;
    event.preventDefault();
    onmerge(dragged, person);
  });
  return tile;
}
