// What the page's views are written with: all of preact, its hooks, and `html` of htm.

import { h } from "./preact/core.js";
import htm from "./htm/htm.js";

export * from "./preact/core.js";
export * from "./preact/hooks.js";

/** html`<p class=${name}>${text}</p>`: what h("p", {class: name}, text) makes. */
export const html = htm.bind(h);
