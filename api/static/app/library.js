// What is shown where nothing is asked: the library on a shelf by time, by names, by what is in the
// pictures, or by what looks almost the same.

import { html, useEffect, useState } from "../vendor/preact.js";
import { ORDERS } from "./address.js";
import { Answers } from "./answers.js";
import { call, cutout, post, sentence } from "./api.js";
import { Duplicates } from "./duplicates.js";
import { chooseFiles, chooseFolder } from "./ingest.js";
import { count, day } from "./sayings.js";
import { Collections, NameShelf, Problem } from "./shelves.js";
import { change, changed } from "./store.js";
import { Go, Icon, notify, typed } from "./ui.js";

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

/**
 * @typedef {{cluster: number, words: string[], regions: number, examples: number[]}} Cluster
 * @typedef {object} RegionMap
 * @property {"none" | "making" | "ready" | "failed"} state
 * @property {boolean} stale
 * @property {number | null} progress
 * @property {string | null} step
 * @property {string | null} message
 * @property {string | null} made_at
 * @property {Cluster[]} clusters
 */

const LOOK_MS = 1000; // how often one looks how far it is

/** How the map stands, looked at again while it is being made. */
function useMap() {
  const [map, setMap] = useState(/** @type {RegionMap | null} */ (null));
  const [problem, setProblem] = useState("");
  const load = () =>
    call("v1/map").then(
      (answer) => {
        setMap(answer);
        setProblem("");
      },
      (reason) => setProblem(sentence(reason)),
    );
  useEffect(() => void load(), []);
  useEffect(() => {
    if (map?.state !== "making" || problem) return undefined;
    const timer = setTimeout(load, LOOK_MS);
    return () => clearTimeout(timer);
  }, [map, problem]);
  const make = () =>
    post("v1/map", { collection: null }).then(setMap, (reason) => notify(sentence(reason), { bad: true }));
  return { map, problem, load, make };
}

/** @param {{map: RegionMap}} props */
const Making = ({ map: { progress, step } }) => html`<p class="making" role="status">
  <label>Grouping the things${step ? `: ${step}` : ""}
    <progress value=${progress ?? undefined} max="1"></progress></label></p>`;

/** @param {Event} event of an example that is gone since the map was made */
const hide = ({ target }) => {
  /** @type {HTMLElement} */ (target).hidden = true;
};

/** @param {{group: Cluster}} props */
const Group = ({ group: { cluster, words, regions, examples } }) => html`
  <li class="tile" data-cluster=${cluster}>
  <${Go} to=${changed({ filters: { map_cluster: cluster }, shelf: "time" })}>
    <span class="cover cuts">${examples.slice(0, 4).map(
      (id) => html`<img key=${id} alt="" loading="lazy"
      decoding="async" src=${cutout(id, 160)} onError=${hide} />`,
    )}</span>
    <span class="title">${words.length ? words.join(", ") : "things alike"}</span>
    <span class="quiet">${count(regions, "region")}</span>
  <//></li>`;

/** @param {{map: RegionMap}} props */
const Failed = ({ map: { state, message } }) =>
  state === "failed"
    ? html`<p class="bad" role="status">They could not be grouped. ${message ?? ""}</p>`
    : null;

/** What there is before there are groups.
 * @param {{map: RegionMap, mayWrite: boolean, make: () => void}} props */
const None = ({ map, mayWrite, make }) => html`<div class="empty">
  <h2>What is in the pictures</h2>
  <p>Things that look alike are put into groups, and each group gets the words that fit it.</p>
  <${Failed} map=${map} />
  ${
    map.state === "making"
      ? html`<${Making} map=${map} />`
      : mayWrite
        ? html`<p><button type="button" class="main large" onClick=${make}>Group the things</button></p>`
        : html`<p>Whoever may write to this library can have them grouped.</p>`
  }</div>`;

/** @param {{mayWrite: boolean}} props */
export function Things({ mayWrite }) {
  const { map, problem, load, make } = useMap();
  if (problem) return html`<${Problem} problem=${problem} again=${load} />`;
  if (!map) return html`<p class="loading">…</p>`;
  if (!map.clusters.length) return html`<${None} map=${map} mayWrite=${mayWrite} make=${make} />`;
  const { state, stale, clusters } = map,
    making = state === "making";
  const groups = [...clusters].sort((a, b) => b.regions - a.regions);
  const since = stale ? `, as of ${day(map.made_at)}: the library has changed since` : "";
  const anew = mayWrite && stale && !making;
  return html`<div class="above"><p id="message" role="status">${count(groups.length, "group")}${since}</p>
      ${anew ? html`<button type="button" onClick=${make}>Group them anew</button>` : null}</div>
    ${making ? html`<${Making} map=${map} />` : html`<${Failed} map=${map} />`}
    <ul class="tiles things">
      ${groups.map((group) => html`<${Group} key=${group.cluster} group=${group} />`)}</ul>`;
}

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
