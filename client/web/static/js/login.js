// @ts-check
// Logs in by a link, /login#TOKEN: what follows # is sent to no server, and is in no server's log.

const token = decodeURIComponent(location.hash.slice(1));
if (token) {
  history.replaceState(null, "", location.pathname); // nor does it stay in the browser's history
  /** @type {any} */
  const form = document.querySelector("form.login");
  form.elements.token.value = token;
  form.requestSubmit();
}
