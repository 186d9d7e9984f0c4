// Filters as chips: each opens a small panel; those that are set say how, and go with a click.

import { html, useEffect, useState } from "../vendor/preact.js";
import { PLACES } from "./address.js";
import { call } from "./api.js";
import { useFacets } from "./facets.js";
import { collectionOf, count, day, share, wordsOf } from "./sayings.js";
import { change } from "./store.js";
import { Icon, Menu, typed } from "./ui.js";
import { KINDS } from "./words.js";

/** @typedef {import("./address.js").Filters} Filters @typedef {import("./address.js").Query} Query */

const SIZES = /** @type {[string, number | undefined, number | undefined][]} */ ([
  ["tiny: below 1 %", undefined, 0.01],
  ["small: 1 to 5 %", 0.01, 0.05],
  ["middling: 5 to 25 %", 0.05, 0.25],
  ["large: above 25 %", 0.25, undefined],
]);
const PIXELS = /** @type {[string, number][]} */ ([
  ["any", 0],
  ["1,000 px", 1000],
  ["2,000 px", 2000],
  ["4,000 px", 4000],
]);
const PREFERENCES = /** @type {[Query["prefer"], string][]} */ ([
  ["thing", "whole things"],
  ["whole", "the outermost"],
  ["part", "parts"],
  ["any", "whatever fits best"],
]);

/**
 * The filters with some of them changed; undefined takes one out.
 * @param {Query} query
 * @param {Partial<Filters>} changes
 */
function refine(query, changes) {
  const filters = Object.fromEntries(
    Object.entries({ ...query.filters, ...changes }).filter(
      ([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0),
    ),
  );
  change({ filters });
}

/**
 * Names to choose several of.
 * @param {{query: Query, field: "albums" | "tags" | "cameras" | "collections",
 *   names: import("./facets.js").Named[], noun: string}} props
 */
function Names({ query, field, names, noun }) {
  const [part, setPart] = useState("");
  const chosen = query.filters[field] ?? [];
  const shown = names.filter(({ name }) => name.toLowerCase().includes(part.toLowerCase())).slice(0, 60);
  const flip = (/** @type {string} */ name) =>
    refine(query, {
      [field]: chosen.includes(name) ? chosen.filter((other) => other !== name) : [...chosen, name],
    });
  return html`
    ${
      names.length > 8
        ? html`<input type="text" aria-label=${`Find a ${noun}`} placeholder=${`Find a ${noun}`} value=${part}
      onInput=${typed(setPart)} />`
        : null
    }
    <ul class="plain options">${shown.map(
      ({ name, images }) => html`<li key=${name}><label>
      <input type="checkbox" checked=${chosen.includes(name)} onChange=${() => flip(name)} />
      <span>${name}</span> <span class="quiet">${images.toLocaleString("en")}</span></label></li>`,
    )}</ul>
    ${names.length ? null : html`<p class="quiet">No picture has a ${noun}.</p>`}`;
}

/** @param {{query: Query}} props */
function Dates({ query }) {
  const { taken_after: after, taken_before: before } = query.filters;
  const { months } = useFacets();
  const years = [...new Set(months.map(({ month }) => month.slice(0, 4)))].slice(0, 12);
  const set = (/** @type {"taken_after" | "taken_before"} */ field) =>
    typed((value) => refine(query, { [field]: value || undefined }));
  return html`
    <label class="field">From<input type="date" value=${after ?? ""} onChange=${set("taken_after")} /></label>
    <label class="field">Before<input type="date" value=${before ?? ""} onChange=${set("taken_before")} /></label>
    ${
      years.length > 1
        ? html`<p class="choices">${years.map(
            (year) => html`<button type="button" key=${year}
      onClick=${() => refine(query, { taken_after: `${year}-01-01`, taken_before: `${Number(year) + 1}-01-01` })}>${year}</button>`,
          )}</p>`
        : null
    }`;
}

/** @param {{query: Query}} props */
function Place({ query }) {
  const chosen = query.filters.places ?? [];
  return html`<p class="quiet">Where in the picture the thing is</p>
    <div class="thirds" role="group" aria-label="Where in the picture">${PLACES.map(
      (place) => html`<button type="button" key=${place}
      aria-pressed=${String(chosen.includes(place))} aria-label=${place} title=${place}
      onClick=${() => refine(query, { places: chosen.includes(place) ? chosen.filter((other) => other !== place) : [...chosen, place] })}></button>`,
    )}</div>`;
}

/** @param {{query: Query}} props */
function Size({ query }) {
  const { min_area: least, max_area: most } = query.filters;
  return html`<p class="quiet">How much of the picture the thing covers</p><ul class="plain options">
    ${SIZES.map(
      ([
        name,
        low,
        high,
      ]) => html`<li key=${name}><label><input type="radio" name="size" checked=${least === low && most === high}
      onChange=${() => refine(query, { min_area: low, max_area: high })} /><span>${name}</span></label></li>`,
    )}</ul>`;
}

/** @param {{query: Query}} props */
function More({ query }) {
  return html`
    <fieldset><legend>What an answer is</legend>${PREFERENCES.map(
      ([name, text]) => html`<label key=${name}>
      <input type="radio" name="prefer" checked=${query.prefer === name} onChange=${() => change({ prefer: name })} /><span>${text}</span></label>`,
    )}</fieldset>
    <label><input type="checkbox" checked=${query.copies} onChange=${() => change({ copies: !query.copies })} />
      <span>Show near-duplicates, too</span></label>
    <label><input type="checkbox" checked=${query.all} onChange=${() => change({ all: !query.all })} />
      <span>Show what may be chance, too</span></label>
    <label class="field">At least so wide<select onChange=${typed((px) => refine(query, { min_width: Number(px) || undefined }))}>
      ${PIXELS.map(([name, px]) => html`<option key=${name} value=${px} selected=${(query.filters.min_width ?? 0) === px}>${name}</option>`)}</select></label>
    <form onSubmit=${(/** @type {any} */ event) => {
      event.preventDefault();
      refine(query, {
        paths: event.target.elements.path.value.trim()
          ? [event.target.elements.path.value.trim()]
          : undefined,
      });
    }}><label class="field">Path, such as holiday/*<input name="path" maxlength="300" defaultValue=${query.filters.paths?.[0] ?? ""} /></label></form>`;
}

/** What stands written there. @param {{query: Query}} props */
function Written({ query }) {
  const { has_text: written, kinds = [] } = query.filters;
  return html`<label><input type="checkbox" checked=${written} onChange=${() => refine(query, { has_text: !written || undefined })} />
      <span>Shows words</span></label>
    <fieldset><legend>What the region is</legend>${Object.entries(KINDS).map(
      ([kind, text]) => html`<label key=${kind}>
      <input type="checkbox" checked=${kinds.includes(kind)} onChange=${() =>
        refine(query, {
          kinds: kinds.includes(kind) ? kinds.filter((other) => other !== kind) : [...kinds, kind],
        })} /><span>${text}</span></label>`,
    )}</fieldset>`;
}

/** What a set filter says; `group` is the words of a group of the map.
 * @type {[keyof Filters, (value: any, filters: Filters, group: string) => string][]} */
const SAID = [
  ["albums", (names) => names.join(" or ")],
  ["tags", (names) => names.map((/** @type {string} */ name) => `#${name}`).join(" or ")],
  ["no_tags", (names) => names.map((/** @type {string} */ name) => `not #${name}`).join(", ")],
  ["collections", (names) => `in ${names.join(" or ")}`],
  ["cameras", (names) => names.join(" or ")],
  ["places", (names) => names.join(" or ")],
  ["paths", (names) => names.join(" or ")],
  ["taken_after", (value) => `from ${day(value)}`],
  ["taken_before", (value) => `before ${day(value)}`],
  ["min_area", (value) => `at least ${share(value)}`],
  ["max_area", (value) => `at most ${share(value)}`],
  ["min_width", (value) => `${value.toLocaleString("en")} px wide`],
  ["min_height", (value) => `${value.toLocaleString("en")} px high`],
  [
    "near",
    ([latitude, longitude, km]) => `within ${km} km of ${latitude.toFixed(2)}, ${longitude.toFixed(2)}`,
  ],
  ["box", () => "in a part of the picture"],
  ["image_ids", (ids) => `in ${count(ids.length, "picture")}`],
  ["has_text", () => "shows words"],
  [
    "kinds",
    (kinds) => kinds.map((/** @type {string} */ kind) => (KINDS[kind] ?? kind).toLowerCase()).join(" or "),
  ],
  ["map_area", () => "lasso on the map"],
  ["map_cluster", (value, _, group) => group || `group ${value + 1}`],
];

/** The words of the group of the map that is shown alone; "" until they are known. @param {Query} query */
function useGroup(query) {
  const number = query.filters.map_cluster,
    of = collectionOf(query),
    wanted = number !== undefined;
  const [groups, setGroups] = useState(/** @type {{of: string, clusters: any[]} | null} */ (null));
  useEffect(() => {
    if (!wanted || groups?.of === of) return undefined;
    let here = true;
    call(`v1/map${of ? `?collection=${encodeURIComponent(of)}` : ""}`).then(
      ({ clusters }) => {
        if (here) setGroups({ of, clusters });
      },
      () => {}, // its number does
    );
    return () => {
      here = false;
    };
  }, [wanted, of]);
  const group = groups?.of === of ? groups.clusters.find(({ cluster }) => cluster === number) : null;
  return group ? wordsOf(group) : "";
}

/**
 * The filters that are set, and buttons for those that can be.
 * @param {{query: Query, open: boolean}} props
 */
export function FilterBar({ query, open }) {
  const facets = useFacets(),
    group = useGroup(query);
  const set = SAID.filter(([field]) => query.filters[field] !== undefined);
  if (!open && !set.length && query.prefer === "thing" && !query.copies) return null;
  const has = (/** @type {(keyof Filters)[]} */ ...fields) =>
    fields.some((field) => query.filters[field] !== undefined);
  return html`<div id="filters" role="group" aria-label="Filters">
    ${
      open
        ? html`
      <${Menu} label="Album" active=${has("albums")}><${Names} query=${query} field="albums" names=${facets.albums} noun="album" /><//>
      <${Menu} label="Date" active=${has("taken_after", "taken_before")}><${Dates} query=${query} /><//>
      <${Menu} label="Tag" active=${has("tags")}><${Names} query=${query} field="tags" names=${facets.tags} noun="tag" /><//>
      <${Menu} label="Collection" active=${has("collections")}><${Names} query=${query} field="collections" names=${facets.collections} noun="collection" /><//>
      <${Menu} label="Place" active=${has("places")}><${Place} query=${query} /><//>
      <${Menu} label="Size" active=${has("min_area", "max_area")}><${Size} query=${query} /><//>
      <${Menu} label="Words" active=${has("has_text", "kinds")}><${Written} query=${query} /><//>
      <${Menu} label="Camera" active=${has("cameras")}><${Names} query=${query} field="cameras" names=${facets.cameras} noun="camera" /><//>
      <${Menu} label="More" active=${has("paths", "min_width") || query.prefer !== "thing" || query.copies || query.all}><${More} query=${query} /><//>`
        : null
    }
    ${set.map(([field, say]) => {
      const said = say(query.filters[field], query.filters, group);
      return html`<span class="term" key=${field}><span>${said}</span>
      <button type="button" class="remove" aria-label=${`Remove the filter ${said}`}
        onClick=${() => refine(query, { [field]: undefined })}><${Icon} name="close" /></button></span>`;
    })}
    ${set.length > 1 ? html`<button type="button" class="link" onClick=${() => change({ filters: {} })}>Clear all</button>` : null}
  </div>`;
}
