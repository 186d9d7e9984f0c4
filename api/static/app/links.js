// Links that stay within the page, and fields that tell what is typed.

import { html } from "../vendor/preact.js";
import { go, link } from "./store.js";
import { plainClick } from "./ui.js";

/**
 * A link to another query; a plain click stays on the page, any other does what the browser does.
 * @param {{to: import("./address.js").Query, children?: any, [attribute: string]: any}} props
 */
export function Go({ to, children, ...attributes }) {
  /** @param {MouseEvent} event */
  const click = (event) => {
    if (!plainClick(event)) return;
    event.preventDefault();
    go(to);
  };
  return html`<a href=${link(to)} ...${attributes} onClick=${click}>${children}</a>`;
}

/** A listener that hands on what a field holds. @param {(value: string) => void} hear */
export const typed = (hear) => (/** @type {Event} */ event) =>
  hear(/** @type {HTMLInputElement | HTMLSelectElement} */ (event.target).value);

/** A listener of a form that is sent nowhere. @param {() => void} act */
export const sent = (act) => (/** @type {Event} */ event) => {
  event.preventDefault();
  act();
};
