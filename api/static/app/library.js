// What is shown where nothing is asked: the library on a shelf by time, by names, by what is in the
// pictures, or by what looks almost the same.

import { html } from "../vendor/preact.js";
import { ORDERS } from "./address.js";
import { Answers } from "./answers.js";
import { Duplicates } from "./duplicates.js";
import { chooseFiles, chooseFolder } from "./ingest.js";
import { Go, typed } from "./links.js";
import { Collections, NameShelf } from "./shelves.js";
import { change, changed } from "./store.js";
import { Things } from "./things.js";
import { Icon } from "./ui.js";

const NAMES = /** @type {Record<string, string>} */ ({
  time: "Time",
  albums: "Albums",
  tags: "Tags",
  collections: "Collections",
  things: "Things",
  duplicates: "Duplicates",
});
const SORTED = /** @type {Record<string, string>} */ ({
  newest: "newest first",
  oldest: "oldest first",
  added: "last added first",
  name: "by name",
});
const ALBUMS = "The folder that a picture lies in is its album.";
const TAGS = "Select pictures, then choose Tag, and they are found here.";

/** @param {{shelf: string}} props */
const Shelves = ({ shelf }) => html`<nav class="shelves" aria-label="Arranged by">
  ${Object.entries(NAMES).map(
    ([name, text]) => html`<${Go} key=${name}
    to=${changed({ shelf: name, order: "newest" })}
    aria-current=${name === shelf ? "page" : undefined}>${text}<//>`,
  )}
</nav>`;

/** @param {{order: string}} props */
const Order = ({ order }) => html`<select aria-label="Order"
    onChange=${typed((value) => change({ order: value }))}>
  ${ORDERS.map(
    (name) => html`<option key=${name} value=${name}
    selected=${name === order}>${SORTED[name]}</option>`,
  )}
</select>`;

/** A library without pictures. @param {{mayWrite: boolean}} props */
const Empty = ({ mayWrite }) => html`<div class="empty">
  <${Icon} name="picture" />
  <h2>No pictures yet</h2>
  ${
    mayWrite
      ? html`
    <p><button type="button" class="main large" id="first-pictures" onClick=${() => chooseFiles()}>
      <${Icon} name="plus" />Add pictures</button></p>
    <p><button type="button" class="link" onClick=${() => chooseFolder()}>Add a folder</button>,
      or drop files and folders anywhere on this page.</p>`
      : html`<p>Whoever may write to this library can add some.</p>`
  }
</div>`;

/** @param {{now: import("./address.js").Query, mayWrite: boolean}} props */
function Shelf({ now, mayWrite }) {
  switch (now.shelf) {
    case "albums":
      return html`<${NameShelf} key="albums" field="albums" noun="album" none=${ALBUMS} />`;
    case "tags":
      return html`<${NameShelf} key="tags" field="tags" noun="tag" none=${TAGS} />`;
    case "collections":
      return html`<${Collections} mayWrite=${mayWrite} />`;
    case "things":
      return html`<${Things} mayWrite=${mayWrite} />`;
    case "duplicates":
      return html`<${Duplicates} mayWrite=${mayWrite} />`;
    default:
      return html`<${Answers} now=${now} above=${html`<${Order} order=${now.order} />`}
      empty=${html`<${Empty} mayWrite=${mayWrite} />`} />`;
  }
}

/** @param {{now: import("./address.js").Query, mayWrite: boolean}} props */
export const Library = ({ now, mayWrite }) => html`
  <${Shelves} shelf=${now.shelf} />
  <${Shelf} now=${now} mayWrite=${mayWrite} />`;
