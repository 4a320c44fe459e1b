// @ts-check
// Of a page with a first screen: lets the view's code and the other styles come, as its pictures are on their way.

const later = /** @type {HTMLTemplateElement} */ (document.getElementById("later"));
later.replaceWith(later.content);
