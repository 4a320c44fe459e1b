// @ts-check
// Drag and drop: one person onto another, which merges them (for keyboards there is a dialog instead), and files.

import { html } from "../vendor/lit-html/lit-html.js";

let dragged = null;

// A person's tile, a link: calls `onmerge(dragged, person)` when another person is dropped on it.
export function mergeable(href, content, person, onmerge) {
  const over = ({ currentTarget }, so) => currentTarget.classList.toggle("dropping", so);
  const taken = () => dragged && dragged !== person;
  const begin = ({ currentTarget, dataTransfer }) => {
    dragged = person;
    dataTransfer.effectAllowed = "move";
    dataTransfer.setData("text/plain", "");
    currentTarget.classList.add("dragging");
  };
  const end = ({ currentTarget }) => {
    dragged = null;
    currentTarget.classList.remove("dragging");
  };
  const drop = (event) => {
    over(event, false);
    if (!taken()) return;
    event.preventDefault();
    onmerge(dragged, person);
  };
  return html`<a
    class="tile"
    href=${href}
    draggable="true"
    @dragstart=${begin}
    @dragend=${end}
    @dragover=${(event) => {
      if (!taken()) return;
      event.preventDefault();
      over(event, true);
    }}
    @dragleave=${(event) => over(event, false)}
    @drop=${drop}
    >${content}</a
  >`;
}

const carriesFiles = (event) => [...event.dataTransfer.types].includes("Files");

// Calls `ondrop(transfer)` when files are dropped anywhere on the page.
export function whenDropped(ondrop) {
  document.addEventListener("dragover", (event) => {
    if (carriesFiles(event)) {
      event.preventDefault();
      document.body.classList.add("dropping");
    }
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    document.body.classList.remove("dropping");
    if (!carriesFiles(event) || event.defaultPrevented) return;
    event.preventDefault();
    ondrop(event.dataTransfer);
  });
}
