// The grid of what was asked for, what is said above it, and the line where "probably not" begins.

import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { asks, LINKS, question } from "./address.js";
import { call, sentence } from "./api.js";
import { Grid } from "./grid.js";
import { findLike, termOf } from "./likeness.js";
import { isStale, resultsOf } from "./results.js";
import { count, LIKELY_FROM, nameOf, time } from "./sayings.js";
import { anyChosen, choose, isChosen, noteShown, toggle, useChosen } from "./selection.js";
import { change, go, openPicture, query } from "./store.js";
import { notify, Switch } from "./ui.js";

/**
 * @typedef {import("./address.js").Query} Query
 * @typedef {import("./results.js").Results} Results
 * @typedef {import("./items.js").Item} Item
 * @typedef {import("./items.js").Region} Region
 */

const GONE = new Set([404, 422]); // to ask again gives the same
const QUOTED = 80; // characters of words that are said again
const REFRESH_PX = 400; // a list that is read further down stays as it is while the library changes

/** Whether there is something to show of a list. @param {Results} results */
const isReady = (results) => results.items.length > 0 || results.done || results.problem !== null;

/**
 * The list of a query, in a view that is drawn again as it grows. Until the first answer is there, the
 * list before stays, so that nothing flashes.
 * @param {Query} now
 * @returns {{results: Results, waiting: boolean}}
 */
export function useResults(now) {
  const [, again] = useState({});
  const asked = useRef(/** @type {{key: string, results: Results} | null} */ (null));
  const before = useRef(/** @type {Results | null} */ (null));
  const key = question(now);
  // The list of a question stays while the library changes under somebody who reads it.
  const asking = asked.current?.key === key ? asked.current.results : null;
  // One that is still on its way is not begun again: while pictures are indexed it would never come.
  if (!asking?.reaches(now.at) || (isStale(asking) && isReady(asking) && scrollY < REFRESH_PX)) {
    asked.current = { key, results: resultsOf(now, { fresh: true }) };
  }
  const { results } = /** @type {{results: Results}} */ (asked.current);
  useEffect(() => {
    const listener = () => again({});
    results.listeners.add(listener);
    if (!results.items.length && !results.done && !results.loading)
      void results.more(now.at ? now.at - results.start + 40 : 0);
    if (results.loading) again({}); // it may have begun before anybody listened
    return () => void results.listeners.delete(listener);
  }, [results]);
  const ready = isReady(results);
  if (ready) before.current = results;
  return ready || !before.current ? { results, waiting: false } : { results: before.current, waiting: true };
}

/**
 * Say that a region was right, or wrong; once more takes it back.
 * @param {Region} region
 * @param {boolean} right
 * @param {Item} item
 */
export function judge({ segment_id: id }, right, item) {
  const now = query(),
    name = nameOf(item.path);
  const asked = question({ ...now, like: [], unlike: [] });
  const others = {
    like: now.like.filter((one) => one !== id),
    unlike: now.unlike.filter((one) => one !== id),
  };
  const list = right ? "like" : "unlike";
  const taken = now[list].includes(id);
  change(taken ? others : { ...others, [list]: [...others[list], id] });
  const said = taken
    ? `No longer counted: the region of ${name}.`
    : right
      ? `Counted as right: the region of ${name}. What is like it comes first now.`
      : `Left out: the region of ${name}, and what is like it comes later.`;
  /** Takes back this judgement alone, where the same is still asked. */
  const undo = () => {
    const then = query();
    if (question({ ...then, like: [], unlike: [] }) !== asked) return;
    const like = then.like.filter((one) => one !== id),
      unlike = then.unlike.filter((one) => one !== id);
    if (now.like.includes(id)) like.push(id);
    if (now.unlike.includes(id)) unlike.push(id);
    change({ like, unlike });
  };
  notify(said, { undo });
}

/** @type {{item: Item, results: Results} | null} */
let lastChosen = null;

/** @param {Results} results @param {number} shown */
const actsOf = (results, shown) => ({
  open: (/** @type {Item} */ item, /** @type {Region | null} */ region) =>
    openPicture(item.image, region?.segment_id ?? 0),
  like: (/** @type {Item} */ item, /** @type {Region | null} */ region) =>
    findLike(termOf(item.image, region)),
  judge,
  choose(/** @type {Item} */ item, /** @type {boolean} */ range) {
    const from = range && lastChosen?.results === results ? results.items.indexOf(lastChosen.item) : -1;
    const to = results.items.indexOf(item);
    if (from >= 0) choose(results.items.slice(Math.min(from, to), Math.min(shown, Math.max(from, to) + 1)));
    else toggle(item);
    lastChosen = { item, results };
  },
  all: () => choose(results.items.slice(0, shown)),
  focus() {},
  parts: (/** @type {Item} */ item) =>
    change({
      by: "region",
      prefer: "any",
      all: true,
      filters: { ...query().filters, image_ids: [item.image] },
    }),
  async copies(/** @type {Item} */ item) {
    try {
      const { near_duplicates: alike } = await call(`v1/images/${item.image}`);
      change({ copies: true, filters: { ...query().filters, image_ids: [item.image, ...alike] } });
    } catch (problem) {
      notify(sentence(problem), { bad: true });
    }
  },
});

/** Whether an answer is what is asked for itself. @param {Query["terms"]} terms @param {Item} item */
const shows = (terms, { image, regions }) =>
  terms.length > 0 &&
  terms.every(
    ({ kind, id, weight }) =>
      weight > 0 &&
      (kind === "segment"
        ? regions.some(({ segment_id }) => segment_id === Number(id))
        : kind !== "picture" && image === Number(id)),
  );

/** What is said above the grid. @param {Query} now @param {Results} results @param {number} likely
 * @param {boolean} waiting */
function told(now, results, likely, waiting) {
  const { items, loading, total, seconds, open, gone } = results;
  if (waiting || !items.length) return waiting || loading ? "Searching …" : "";
  const noun = items[0].alone ? "region" : "picture";
  if (!asks(now)) return total === null ? "" : count(total, noun);
  const alone = likely === 1 && !open && shows(now.terms, items[0]);
  if (alone) return "Nothing else is like it.";
  const many = `${open ? "More than " : ""}${count(likely, noun)}`;
  const left = gone
    ? ` · ${count(gone, "judged region")} ${gone === 1 ? "is" : "are"} gone, and left out`
    : "";
  return `${many}${seconds === null ? "" : ` · ${time(seconds)}`}${left}`;
}

/** Words as they are quoted. @param {string} words */
const shortened = (words) => (words.length > QUOTED ? `${words.slice(0, QUOTED)} …` : words);

// Words in quotation marks, which may be meant as they stand in pictures.
const QUOTES = /^["“”„«]([^"“”„«»]+)["“”»]$/;
const WRITTEN = /(?<!\S)-?text:\S/i;

// Words that say what is not wanted, where a minus does.
const NOT = /^(.+?)[,]? (?:without|with no|but no|not|no) (?:an? |any |the )?(\S+)$/i;

/** The same with a minus; "" where nothing says so. @param {Query} now */
function minusIn({ words }) {
  const found = NOT.exec(words.trim());
  return found ? `${found[1]} -${found[2]}` : "";
}

// Words that say how two things lie; what stands before and after them are the things.
const LYING = new RegExp(`^(.+?) (?:is |lies )?(${LINKS.join("|")}) (.+)$`, "i");

/** The scene that words describe; null where they do not. @param {Query} now */
function sceneIn({ words, things }) {
  const found = things.length ? null : LYING.exec(words.trim());
  if (!found) return null;
  const [one, link, other] = [found[1], found[2].toLowerCase(), found[3]];
  return one === other ? null : { one, link, other };
}

/** What may be meant by the words, one click away. @param {{now: Query}} props */
function Better({ now }) {
  const minus = minusIn(now),
    scene = sceneIn(now),
    quoted = QUOTES.exec(now.words.trim());
  const offer = (/** @type {string} */ text, /** @type {Partial<Query>} */ changes) =>
    html`<button type="button" class="link" onClick=${() => change(changes)}>${text}</button>`;
  if (WRITTEN.test(now.words)) return null;
  if (quoted) return offer(`Find “${quoted[1]}” as words in pictures`, { words: `text:"${quoted[1]}"` });
  if (minus) return offer(`Search “${minus}”: a minus leaves out`, { words: minus });
  if (!scene) return null;
  const things = [scene.one, scene.other].map((name) => ({ name, absent: false }));
  return offer("Search it as a scene", { words: "", relations: [scene], things });
}

/** Which language the words have to be in, where the model knows one only. */
function Language() {
  const [english, setEnglish] = useState(false);
  useEffect(() => {
    const found = (/** @type {{embedder: string | null}} */ { embedder }) =>
      setEnglish(embedder?.startsWith("clip") ?? false);
    call("v1/models").then(found, () => {});
  }, []);
  return english ? html`<p class="quiet">The model knows English words only.</p>` : null;
}

/** What is said where there is nothing. @param {{now: Query, results: Results}} props */
function Nothing({ now, results }) {
  const filtering = Object.keys(now.filters).length > 0;
  const { items, relevance, message } = results;
  const canShow = asks(now) && !now.all && (items.length > 0 || (relevance ?? 1) < LIKELY_FROM);
  const what = QUOTES.exec(now.words)?.[1] || now.words || now.things.map(({ name }) => name).join(" and ");
  return html`<div class="nothing">
    <p>${canShow ? `Nothing matches${what ? ` “${shortened(what)}”` : ""} well.` : (message ?? (filtering ? "No picture passes the filters." : "Nothing found."))}</p>
    ${canShow ? html`<p><button type="button" id="anyway" onClick=${() => change({ all: true })}>Show the nearest</button></p>` : null}
    <p><${Better} now=${now} /></p>
    ${now.words && !now.terms.length && !minusIn(now) && !sceneIn(now) && !WRITTEN.test(now.words) ? html`<${Language} />` : null}
    ${filtering ? html`<p><button type="button" class="link" onClick=${() => change({ filters: {} })}>Search without the filters</button></p>` : null}
  </div>`;
}

/**
 * A grid over one list, with its message, problem and end.
 * @param {{now: Query, above?: any, empty?: any}} props
 */
export function Answers({ now, above = null, empty: nothing = null }) {
  const { results, waiting } = useResults(now);
  useChosen();
  const { items, doubtfulFrom, problem, done, loading } = results;
  const folded = doubtfulFrom >= 0 && !now.all;
  const { shown } = results;
  const asked = asks(now);
  useEffect(() => {
    if (!loading && !waiting) noteShown(items.slice(0, shown));
  }, [items, shown, loading, waiting]);
  const right = new Set(now.like);
  return html`
    <div class="above">
      <p id="message" role="status" class=${problem ? "bad" : ""}>${problem ? problem.message : told(now, results, shown, waiting)}</p>
      ${problem && !GONE.has(problem.status) ? html`<button type="button" onClick=${() => results.more()}>Try again</button>` : null}
      ${above}
      ${shown ? html`<${Better} now=${now} />` : null}
      ${now.all && asked ? html`<button type="button" class="link" onClick=${() => change({ all: false })}>Only what is likely</button>` : null}
      ${
        (asked || now.filters.kinds) && !now.things.length
          ? html`<${Switch} label="Grouped by" value=${now.by} options=${[
              ["picture", "Pictures"],
              ["region", "Regions"],
            ]}
        onChange=${(/** @type {any} */ by) => change({ by })} />`
          : null
      }
    </div>
    <${Grid} results=${results} shown=${shown} at=${now.at} act=${actsOf(results, shown)} isChosen=${isChosen}
      choosing=${anyChosen()} right=${right} waiting=${waiting} still=${now.image > 0} />
    ${
      folded && shown && !results.open
        ? html`<div class="doubt"><span>probably not</span>
      <button type="button" id="anyway" onClick=${() => go({ ...query(), all: true })}>Show the nearest</button></div>`
        : null
    }
    ${
      !items.length && !loading && !problem && (done || folded)
        ? (nothing ?? html`<${Nothing} now=${now} results=${results} />`)
        : folded && !shown
          ? html`<${Nothing} now=${now} results=${results} />`
          : null
    }
    ${loading && items.length ? html`<p class="loading" role="presentation">…</p>` : null}`;
}
