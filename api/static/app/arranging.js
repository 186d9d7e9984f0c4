// What is done with several pictures or regions at once: the bar of what is selected, and removal.

import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { asks, filtered } from "./address.js";
import { call, post, Refusal, sentence } from "./api.js";
import { Exporting } from "./exporting.js";
import { forgetFacets, libraryChanged, useFacets } from "./facets.js";
import { findLike, termOf } from "./likeness.js";
import { leave, resultsOf, settle } from "./results.js";
import { count } from "./sayings.js";
import { choose, clearChosen, drop, isChosen, told, unseen, useChosen } from "./selection.js";
import { query, useQuery } from "./store.js";
import { Icon, IconButton, later, Menu, notify, sent, typed } from "./ui.js";

/** @typedef {import("./results.js").Results} Results @typedef {import("./address.js").Filters} Filters
 * @typedef {import("./exporting.js").Then} Then */

const MOST_IDS = 5000,
  MOST_FILTERED = 1000; // of one request: the server's limits
const KEEPALIVE_BYTES = 64_000; // of all requests that outlive the page: the Fetch standard has 64 KiB
const MOST_LIKE = 8; // things that are looked for at once
const NAMES = 12; // that are offered in a menu

/** @template T @param {T[]} list @param {number} most @returns {T[][]} */
const parts = (list, most) =>
  Array.from({ length: Math.ceil(list.length / most) }, (_, i) => list.slice(i * most, (i + 1) * most));

/**
 * One request after the other, each with as many pictures as the server takes.
 * @param {string} path
 * @param {number[]} images
 * @param {Record<string, unknown>} [more] of the body
 */
async function send(path, images, more = {}) {
  for (const ids of parts(images, MOST_IDS)) await post(path, { image_ids: ids, ...more });
}

/**
 * Remove pictures for good. A page that is being closed sends all requests at once: it will not be there
 * for a second one. What is more than a browser lets outlive a page is sent as well as may be.
 * @param {number[]} images
 * @param {RequestInit} options
 */
async function sendAway(images, { keepalive }) {
  if (!keepalive) return send("v1/images/remove", images);
  let bytes = 0;
  const requests = parts(images, MOST_IDS).map((ids) => {
    bytes += JSON.stringify({ image_ids: ids }).length;
    return post("v1/images/remove", { image_ids: ids }, { keepalive: bytes <= KEEPALIVE_BYTES });
  });
  return void (await Promise.all(requests));
}

/**
 * Remove pictures from the library: from the lists at once, for good when the notice has gone.
 * @param {number[]} images
 * @param {Results | null} [results] the list that is shown, if any
 */
export function removeImages(images, results = null) {
  const gone = new Set(images);
  const show = leave(gone, results),
    chooseAgain = drop(gone);
  later(`${count(gone.size, "picture")} removed from the library.`, {
    undo() {
      show();
      chooseAgain();
    },
    async done(options) {
      try {
        await sendAway([...gone], options);
        settle(gone);
        forgetFacets();
      } catch (problem) {
        show();
        notify(`Not removed. ${sentence(problem)}`, { bad: true });
      }
    },
  });
}

/** Which of some pictures pass filters. @param {number[]} images @param {Filters} filters */
async function passing(images, filters) {
  /** @type {Set<number>} */
  const found = new Set();
  for (const ids of parts(images, MOST_FILTERED)) {
    const answer = await post("v1/browse", { filters: { ...filters, image_ids: ids }, limit: MOST_FILTERED });
    for (const { image_id: id } of answer.images) found.add(id);
  }
  return found;
}

/** @param {unknown} problem */
const complain = (problem) => void notify(sentence(problem), { bad: true });
/** @param {string} one @param {string} other */
const same = (one, other) => one.toLowerCase() === other.toLowerCase();

/** The list that is shown, where what is shown is a grid. @returns {Results | null} */
function listShown() {
  const now = query();
  return now.view === "grid" && (asks(now) || filtered(now) || now.shelf === "time") ? resultsOf(now) : null;
}

/** Facets and lists are asked for anew, and the list that is shown at once. */
function changedHere() {
  libraryChanged();
  listShown()?.tell();
}

/**
 * Give pictures a tag, or take one from them.
 * @param {number[]} images
 * @param {string} name
 * @param {boolean} add
 */
export async function tag(images, name, add) {
  try {
    const having = await passing(images, { tags: [name] });
    const concerned = images.filter((id) => having.has(id) !== add); // the others are as they should be
    if (!concerned.length) return notify(`${add ? "All of them are" : "None of them is"} tagged ${name}.`);
    const what = (/** @type {boolean} */ adding) => (adding ? { add: [name] } : { remove: [name] });
    await send("v1/images/tags", concerned, what(add));
    changedHere();
    const { tags = [], no_tags: without = [] } = query().filters;
    const hides = add ? without.some((one) => same(one, name)) : tags.length === 1 && same(tags[0], name);
    const show = hides ? listShown()?.without(concerned) : undefined;
    return notify(`${count(concerned.length, "picture")} ${add ? "tagged" : "no longer tagged"} ${name}.`, {
      undo: () =>
        void send("v1/images/tags", concerned, what(!add)).then(() => {
          show?.();
          changedHere();
        }, complain),
    });
  } catch (problem) {
    return complain(problem);
  }
}

/** Tags that are typed with commas between them, one after the other.
 * @param {string} said @param {(name: string) => Promise<unknown>} act */
async function eachTag(said, act) {
  const names = said.split(",").map((name) => name.trim());
  for (const name of new Set(names.filter(Boolean))) await act(name);
}

const path = (/** @type {string} */ name) => `v1/collections/${encodeURIComponent(name)}`;

/** A problem with the name of a collection, as a person can mend it. @param {unknown} problem */
export const ofName = (problem) =>
  problem instanceof Refusal && problem.status === 422
    ? new Refusal("Names have letters, digits, spaces and . , ( ) + & ' - _, and a letter or digit first.")
    : problem;

/** Make a collection, unless there is one of this name; whether one was made. @param {string} name */
export async function makeCollection(name) {
  try {
    await post("v1/collections", { name });
    return true;
  } catch (problem) {
    if (problem instanceof Refusal && problem.status === 409) return false;
    throw ofName(problem);
  }
}

/** Put pictures into a collection, which is made if need be; whether that has worked.
 * @param {number[]} images @param {string} name */
export async function collect(images, name) {
  try {
    const made = await makeCollection(name);
    const inside = made ? new Set() : await passing(images, { collections: [name] });
    const added = images.filter((id) => !inside.has(id));
    if (!added.length) {
      notify(`All of them are in ${name}.`);
      return true;
    }
    await send(`${path(name)}/images`, added);
    changedHere();
    notify(`${count(added.length, "picture")} put into ${name}.`, {
      undo: () => void takeBack(added, name, made).then(changedHere, complain),
    });
    return true;
  } catch (problem) {
    complain(problem);
    return false;
  }
}

/** @param {number[]} images @param {string} name @param {boolean} made whether the collection goes, too */
async function takeBack(images, name, made) {
  await send(`${path(name)}/images/remove`, images);
  if (made && (await call(path(name))).images === 0) await call(path(name), { method: "DELETE" });
}

/** Take pictures out of a collection. @param {number[]} images @param {string} name */
async function takeOut(images, name) {
  try {
    const taken = [...(await passing(images, { collections: [name] }))];
    await send(`${path(name)}/images/remove`, images);
    changedHere();
    const show = listShown()?.without(taken),
      chooseAgain = drop(new Set(taken));
    notify(`${count(taken.length, "picture")} taken out of ${name}.`, {
      undo: () =>
        void send(`${path(name)}/images`, taken).then(() => {
          show?.();
          chooseAgain();
          changedHere();
        }, complain),
    });
  } catch (problem) {
    complain(problem);
  }
}

/**
 * A name to choose or to type.
 * @param {{noun: string, names: string[], verb: string, onName: (name: string) => void,
 *   onTake?: (name: string) => void}} props `onTake` is the other way round
 */
function NameForm({ noun, names, verb, onName, onTake }) {
  const [text, setText] = useState("");
  const name = text.trim();
  const offered = names.filter((one) => one.toLowerCase().includes(name.toLowerCase())).slice(0, NAMES);
  return html`<form onSubmit=${sent(() => {
    if (name) onName(name);
  })}>
    <label class="field">${noun}<input type="text" value=${text} maxlength="100" autocomplete="off"
      placeholder="An old one or a new one" onInput=${typed(setText)} /></label>
    ${
      offered.length
        ? html`<ul class="plain names">${offered.map(
            (one) => html`<li key=${one}>
      <button type="button" class="chip" onClick=${() => onName(one)}>${one}</button></li>`,
          )}</ul>`
        : null
    }
    <div class="buttons"><button type="submit" class="main" disabled=${!name}>${verb}</button>
      ${
        onTake
          ? html`<button type="button" disabled=${!name}
        onClick=${() => onTake(name)}>Take away</button>`
          : null
      }
    </div>
  </form>`;
}

/** @param {import("./selection.js").Chosen[]} chosen */
function findTheirLike(chosen) {
  const first = chosen.slice(0, MOST_LIKE);
  clearChosen();
  findLike(...first.map(({ image, segment }) => termOf(image, segment ? { segment_id: segment } : null)));
  if (chosen.length > first.length) notify(`The first ${first.length} of them are looked for.`);
}

/** @param {{icon: string, label: string, children: (then: Then, close: () => void) => any}} props
 *   `children` is given what closes the menu and then acts */
const BarMenu = ({ icon, label, children }) => html`
  <${Menu} label=${html`<${Icon} name=${icon} /><span>${label}</span>`}>${(/** @type {() => void} */ close) =>
    children(
      (act) => (/** @type {any} */ value) => {
        close();
        act(value);
      },
      close,
    )}<//>`;

/** @param {{icon: string, label: string, title?: string, onClick: () => void}} props */
const BarButton = ({ icon, label, title, onClick }) => html`
  <button type="button" title=${title} onClick=${onClick}>
    <${Icon} name=${icon} /><span>${label}</span></button>`;

/** What changes pictures. @param {{images: number[], whole: boolean, list: Results | null}} props */
function Changes({ images, whole, list }) {
  const { tags, collections } = useFacets();
  const [collection, another] = query().filters.collections ?? [];
  const names = (/** @type {{name: string}[]} */ named) => named.map(({ name }) => name);
  return html`
    <${BarMenu} icon="tag" label="Tag">${(/** @type {Then} */ then) => html`
      <${NameForm} noun="Tag" verb="Add" names=${names(tags)}
        onName=${then((said) => void eachTag(said, (name) => tag(images, name, true)))}
        onTake=${then((said) => void eachTag(said, (name) => tag(images, name, false)))} />`}<//>
    <${BarMenu} icon="box" label="Collect">${(/** @type {Then} */ _, /** @type {() => void} */ close) => html`
      <${NameForm} noun="Collection" verb="Put in" names=${names(collections)}
        onName=${(/** @type {string} */ name) => void collect(images, name).then((done) => done && close())} />`}<//>
    ${
      collection && !another
        ? html`<${BarButton} icon="minus" label=${`Take out of ${collection}`}
      onClick=${() => void takeOut(images, collection)} />`
        : null
    }
    ${
      whole
        ? html`<${BarButton} icon="bin" label="Remove" title="Remove from the library"
      onClick=${() => removeImages(images, list)} />`
        : null
    }`;
}

/** What lies at the window's end, and notices, make room for a bar, however many lines it has.
 * @param {boolean} shown */
function useRoom(shown) {
  const bar = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const { style } = document.documentElement;
    const observer = new ResizeObserver(([{ target }]) => {
      style.setProperty("--below", `${/** @type {HTMLElement} */ (target).offsetHeight}px`);
      document.activeElement?.closest(".card")?.scrollIntoView({ block: "nearest" }); // it may lie below
    });
    if (bar.current) observer.observe(bar.current);
    return () => {
      observer.disconnect();
      style.removeProperty("--below");
    };
  }, [shown]);
  return bar;
}

/** The bar at the bottom, while something is selected. @param {{mayWrite: boolean}} props */
export function SelectionBar({ mayWrite }) {
  const chosen = useChosen(),
    bar = useRoom(chosen.length > 0);
  useQuery(); // which list is shown, and which collection
  if (!chosen.length) return null;
  const images = [...new Set(chosen.map(({ image }) => image))];
  const whole = chosen.every(({ segment }) => !segment);
  const list = listShown();
  const shown = () => (list ? list.items.slice(0, list.shown) : []);
  return html`<section id="selection" aria-label="What is selected" ref=${bar}>
    <p role="status">${told(chosen)}${unseen()}</p>
    <div class="acts">
      <${BarButton} icon="like" label="Find their like" onClick=${() => findTheirLike(chosen)} />
      <${BarMenu} icon="download" label="Export">${(/** @type {Then} */ then) => html`
        <${Exporting} chosen=${chosen} then=${then} />`}<//>
      ${mayWrite ? html`<${Changes} images=${images} whole=${whole} list=${list} />` : null}
    </div>
    <div class="ends">
      ${
        shown().some(({ key }) => !isChosen(key))
          ? html`<button type="button" class="link"
        title="All that are loaded (Ctrl+A)" onClick=${() => choose(shown())}>Select all</button>`
          : null
      }
      <${IconButton} icon="close" label="Clear the selection (Esc)" onClick=${clearChosen} />
    </div>
  </section>`;
}
