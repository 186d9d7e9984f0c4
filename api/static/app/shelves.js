// Shelves of names: albums, tags and collections as tiles, each with its newest picture.

import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { makeCollection, ofName } from "./arranging.js";
import { call, post, sentence, thumbnail } from "./api.js";
import { exportRegions, Formats } from "./exporting.js";
import { forgetFacets, useLoadedFacets } from "./facets.js";
import { count } from "./sayings.js";
import { changed } from "./store.js";
import { Go, Icon, later, Menu, notify, sent, typed } from "./ui.js";

/**
 * @typedef {import("./facets.js").Named} Named
 * @typedef {"albums" | "tags" | "collections"} Field
 */

const AT_ONCE = 4; // covers that are asked for
const NEAR = "400px"; // how near to the window a tile gets its cover
const FEW = 12; // names that need no finding
const MOST = 1000; // names that the server tells
const ICONS = { albums: "folder", tags: "tag", collections: "box" };

/** Covers by what they are of, and of how many pictures: of another number it may be another one.
 * @type {Map<string, {images: number, cover: Promise<number | null>}>} */
const covers = new Map();
/** @type {(() => void)[]} */
const queue = [];
let asking = 0;

/** One of a few at once, in turn. @template T @param {() => Promise<T>} ask @returns {Promise<T>} */
function inTurn(ask) {
  return new Promise((resolve, reject) => {
    const run = () => {
      asking++;
      ask()
        .then(resolve, reject)
        .finally(() => {
          asking--;
          queue.shift()?.();
        });
    };
    if (asking < AT_ONCE) run();
    else queue.push(run);
  });
}

/** The newest picture of a name. @param {Field} field @param {Named} named */
function coverOf(field, { name, images }) {
  const key = `${field} ${name}`,
    kept = covers.get(key);
  if (kept?.images === images) return kept.cover;
  const cover = inTurn(() => post("v1/browse", { filters: { [field]: [name] }, limit: 1 })).then(
    (answer) => answer.images[0]?.image_id ?? null,
    () => {
      covers.delete(key);
      return null;
    },
  );
  covers.set(key, { images, cover });
  return cover;
}

/** @param {{field: Field, named: Named}} props */
function Cover({ field, named }) {
  const frame = useRef(/** @type {HTMLElement | null} */ (null));
  const [image, setImage] = useState(/** @type {number | null} */ (null));
  const { name, images } = named;
  useEffect(() => {
    if (!frame.current || !images) return undefined;
    let here = true;
    const observer = new IntersectionObserver(
      (entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        observer.disconnect();
        void coverOf(field, named).then((found) => {
          if (here) setImage(found);
        });
      },
      { rootMargin: NEAR },
    );
    observer.observe(frame.current);
    return () => {
      here = false;
      observer.disconnect();
    };
  }, [field, name, images]);
  return html`<span class="cover" ref=${frame}>${
    image
      ? html`<img alt="" decoding="async" src=${thumbnail(image, 320)} onError=${() => setImage(null)} />`
      : html`<${Icon} name=${ICONS[field]} />`
  }</span>`;
}

/** @param {{field: Field, named: Named, children?: any}} props */
const Tile = ({ field, named, children }) => html`<li class="tile" data-name=${named.name}>
  <${Go} to=${changed({ filters: { [field]: [named.name] }, shelf: "time" })}>
    <${Cover} field=${field} named=${named} />
    <span class="title">${named.name}</span> <span class="quiet">${count(named.images, "picture")}</span>
  <//>
  ${children}
</li>`;

/**
 * Tiles, with a box to find a name in where they are many.
 * @param {{field: Field, noun: string, names: Named[], tools?: (named: Named) => any}} props
 */
function Tiles({ field, noun, names, tools = () => null }) {
  const [text, setText] = useState("");
  const shown = names.filter(({ name }) => name.toLowerCase().includes(text.trim().toLowerCase()));
  const many = `${count(shown.length, noun)}${names.length === MOST ? ", those of the most pictures" : ""}`;
  return html`
    ${
      names.length > FEW
        ? html`<p class="finding">
      <input type="search" aria-label="Find a name" placeholder="Find a name" value=${text}
        onInput=${typed(setText)} />
      <span class="quiet" role="status">${many}</span></p>`
        : null
    }
    <ul class="tiles">${shown.map(
      (named) => html`<${Tile} key=${named.name} field=${field} named=${named}>
      ${tools(named)}<//>`,
    )}</ul>`;
}

/** What is said instead of a shelf. @param {{problem: string, again: () => void}} props */
export const Problem = ({ problem, again }) => html`<div class="above">
  <p id="message" class="bad" role="status">${problem}</p>
  <button type="button" onClick=${again}>Try again</button></div>`;

/** @param {{field: "albums" | "tags", noun: string, none: string}} props `none` tells what would be here */
export function NameShelf({ field, noun, none }) {
  const { facets, problem } = useLoadedFacets();
  if (problem) return html`<${Problem} problem=${problem} again=${forgetFacets} />`;
  if (!facets) return html`<p class="loading">…</p>`;
  if (!facets[field].length) return html`<div class="empty"><h2>No ${noun}s yet</h2><p>${none}</p></div>`;
  return html`<${Tiles} field=${field} noun=${noun} names=${facets[field]} />`;
}

const path = (/** @type {string} */ name) => `v1/collections/${encodeURIComponent(name)}`;
const failed = (/** @type {unknown} */ problem) => void notify(sentence(problem), { bad: true });

/** @param {string} from @param {string} to */
const rename = (from, to) =>
  call(path(from), {
    method: "PATCH",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ name: to }),
  }).then(forgetFacets);

/** A name to type.
 * @param {{label: string, verb: string, value?: string, onName: (name: string) => void}} props */
function NameInput({ label, verb, value = "", onName }) {
  const [text, setText] = useState(value);
  const submit = sent(() => {
    if (!text.trim()) return;
    onName(text.trim());
    setText("");
  });
  return html`<form class="inline naming" onSubmit=${submit}>
    <label class="field">${label}<input type="text" value=${text} maxlength="100" required autocomplete="off"
      onInput=${typed(setText)} /></label>
    <button type="submit">${verb}</button></form>`;
}

/** @param {{named: Named, mayWrite: boolean, onDelete: () => void}} props */
function CollectionMenu({ named: { name, images }, mayWrite, onDelete }) {
  const renamed = (/** @type {string} */ to) => {
    if (to === name) return;
    const undo = () => void rename(to, name).catch(failed);
    rename(name, to).then(
      () => notify(`${name} is called ${to} now.`, { undo }),
      (problem) => failed(ofName(problem)),
    );
  };
  const inside = (/** @type {() => void} */ close) => {
    const then = (/** @type {(value: any) => void} */ act) => (/** @type {any} */ value) => {
      close();
      act(value);
    };
    const write = (/** @type {string} */ format) =>
      void exportRegions(format, { collection: name }, `${name}, ${count(images, "picture")}`);
    return html`
      ${
        mayWrite
          ? html`<${NameInput} label="Name" verb="Rename" value=${name}
        onName=${then(renamed)} />`
          : null
      }
      <h3>Export</h3>
      <${Formats} onChoose=${then(write)} />
      ${
        mayWrite
          ? html`<p><button type="button" onClick=${then(onDelete)}>
        <${Icon} name="bin" />Delete the collection</button></p>`
          : null
      }`;
  };
  const label = html`<${Icon} name="more" />
    <span class="visually-hidden">What can be done with ${name}</span>`;
  const title = mayWrite ? "Rename, export, delete" : "Export";
  return html`<${Menu} class="tile-menu" align="end" title=${title} label=${label}>${inside}<//>`;
}

/** Collections that are being deleted. @type {Set<string>} */
const going = new Set();

/** @param {{mayWrite: boolean}} props */
export function Collections({ mayWrite }) {
  const { facets } = useLoadedFacets(); // which are forgotten when a collection changes
  const [names, setNames] = useState(/** @type {Named[] | null} */ (null));
  const [problem, setProblem] = useState("");
  const [, again] = useState({});
  const load = () =>
    call("v1/collections").then(
      ({ collections }) => {
        setNames(collections);
        setProblem("");
      },
      (reason) => setProblem(sentence(reason)),
    );
  useEffect(() => void load(), [facets]);
  const make = (/** @type {string} */ name) =>
    makeCollection(name).then((made) => {
      notify(
        made
          ? `${name} is made: select pictures, then choose Collect.`
          : `There is a collection ${name} already.`,
        { bad: !made },
      );
      forgetFacets();
    }, failed);
  const remove = (/** @type {string} */ name) => {
    const undo = () => {
      going.delete(name);
      again({});
    };
    const done = (/** @type {RequestInit} */ options) => {
      void call(path(name), { ...options, method: "DELETE" })
        .then(forgetFacets, failed)
        .then(load)
        .then(undo);
    };
    going.add(name);
    again({});
    later(`${name} is deleted; its pictures stay.`, { undo, done });
  };
  if (problem) return html`<${Problem} problem=${problem} again=${load} />`;
  if (!names) return html`<p class="loading">…</p>`;
  const shown = names.filter(({ name }) => !going.has(name));
  const tools = (/** @type {Named} */ named) => html`
    <${CollectionMenu} named=${named} mayWrite=${mayWrite} onDelete=${() => remove(named.name)} />`;
  return html`
    ${mayWrite ? html`<${NameInput} label="A new collection" verb="Make it" onName=${make} />` : null}
    ${
      shown.length
        ? html`<${Tiles} field="collections" noun="collection" names=${shown} tools=${tools} />`
        : html`<div class="empty"><h2>No collections yet</h2>
        <p>A collection is a set of pictures that you choose: select some, then choose Collect.</p></div>`
    }`;
}
