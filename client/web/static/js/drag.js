// Drag and drop: one person onto another, which merges them (for keyboards there is a dialog instead), and files.

let dragged = null;

// Makes `tile` draggable as `person`; calls `onmerge(dragged, person)` when another person is dropped on it.
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

const carriesFiles = (event) => [...event.dataTransfer.types].includes("Files");

// Calls `ondrop(transfer)` when files are dropped anywhere on the page.
export function whenDropped(ondrop) {
  document.addEventListener("dragover", (event) => { if (carriesFiles(event)) { event.preventDefault(); document.body.classList.add("dropping"); } });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
  document.addEventListener("drop", (event) => {
    document.body.classList.remove("dropping");
    if (!carriesFiles(event) || event.defaultPrevented) return;
    event.preventDefault();
    ondrop(event.dataTransfer);
  });
}
