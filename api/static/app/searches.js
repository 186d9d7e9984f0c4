// Searches of before: the last ones of this browser, and those that were saved in the library.

import { html, useEffect, useState } from "../vendor/preact.js";
import { asks, empty, format, parse } from "./address.js";
import { call, post, sentence } from "./api.js";
import { ofName } from "./arranging.js";
import { go, listen, query } from "./store.js";
import { TermPicture } from "./terms.js";
import { Icon, IconButton, Menu, notify, sent, typed } from "./ui.js";

const RECENT = "segsearch.recent",
  MOST_RECENT = 12;

/** What is asked alone, without where one was when one asked, and what one thought of the answers.
 * @param {import("./address.js").Query} asked */
const bare = (asked) => {
  const { view, shelf, order, all } = empty();
  const question = { ...asked, view, shelf, order, all, image: 0, segment: 0, at: 0 };
  const unjudged = { ...question, like: [], unlike: [] };
  return format(asks(unjudged) ? unjudged : question);
};
const plain = (/** @type {string} */ address) => bare(parse(address).query);

/** @returns {string[]} addresses, the newest first */
function recent() {
  try {
    const kept = JSON.parse(localStorage.getItem(RECENT) ?? "[]");
    return Array.isArray(kept) ? [...new Set(kept.filter((one) => typeof one === "string").map(plain))] : [];
  } catch {
    return []; // storage that is switched off, or written by something else
  }
}

/** Note what is asked for now among the recent ones. */
function note() {
  const now = query();
  if (!asks(now)) return;
  const address = bare(now);
  try {
    localStorage.setItem(
      RECENT,
      JSON.stringify([address, ...recent().filter((one) => one !== address)].slice(0, MOST_RECENT)),
    );
  } catch {
    /* nothing is remembered where nothing may be */
  }
}
listen(note);
note();

/** A search in words. @param {string} address */
export function described(address) {
  const {
    query: { words, terms, things, relations, filters },
  } = parse(address);
  const parts = [
    words,
    ...things.map(({ name, absent }) => (absent ? `no ${name}` : name)),
    ...relations.map(({ one, link, other }) => `${one} ${link} ${other}`),
    ...terms.map(({ kind }) => (kind === "segment" || kind === "cut" ? "a region" : "a picture")),
  ];
  const set = Object.keys(filters).length;
  return `${parts.filter(Boolean).join(" + ") || "everything"}${set ? `, ${set} filter${set === 1 ? "" : "s"}` : ""}`;
}

/** @typedef {{name: string, address: string}} Saved */

/** @param {unknown} problem */
const complain = (problem) => void notify(sentence(problem), { bad: true });

const pathOf = (/** @type {string} */ name) => `v1/searches/${encodeURIComponent(name)}`;
const keep = (/** @type {string} */ name, /** @type {string} */ address) =>
  post(pathOf(name), { address }, { method: "PUT" });

/** @param {{close: () => void, mayWrite: boolean}} props */
function Panel({ close, mayWrite }) {
  const [saved, setSaved] = useState(/** @type {Saved[]} */ ([]));
  const [name, setName] = useState("");
  const load = () => call("v1/searches").then(({ searches }) => setSaved(searches), complain);
  useEffect(() => void load(), []);
  const now = query();
  const open = (/** @type {string} */ address) => {
    close();
    go(parse(address).query);
  };
  const save = sent(async () => {
    const address = format({ ...now, image: 0, segment: 0, at: 0 }) || "?";
    try {
      await keep(name.trim(), address);
      setName("");
      load();
    } catch (problem) {
      complain(ofName(problem));
    }
  });
  const remove = async (/** @type {Saved} */ { name: gone, address }) => {
    try {
      await call(pathOf(gone), { method: "DELETE" });
      load();
      notify(`“${gone}” is no longer saved.`, {
        undo: () => void keep(gone, address).then(load, complain),
      });
    } catch (problem) {
      complain(problem);
    }
  };
  const before = recent();
  return html`
    ${
      mayWrite && (asks(now) || Object.keys(now.filters).length)
        ? html`<form class="inline" onSubmit=${save}>
      <label class="field">Save this search as
        <input value=${name} required maxlength="100" placeholder=${described(format(now)).slice(0, 40)}
          onInput=${typed(setName)} /></label>
      <button type="submit">Save</button></form>`
        : null
    }
    ${
      saved.length
        ? html`<h3>Saved</h3><ul class="plain">${saved.map(
            (one) => html`<li key=${one.name}>
      <button type="button" class="link" onClick=${() => open(one.address)}><b>${one.name}</b> <span class="quiet">${described(one.address)}</span></button>
      ${mayWrite ? html`<${IconButton} icon="close" label=${`Forget ${one.name}`} onClick=${() => remove(one)} />` : null}</li>`,
          )}</ul>`
        : null
    }
    ${
      before.length
        ? html`<h3>Recent</h3><ul class="plain">${before.map(
            (address) => html`<li key=${address}>
      <button type="button" class="link" onClick=${() => open(address)}>${parse(address).query.terms.map(
        (term, i) => html`<${TermPicture} key=${i} term=${term} />`,
      )}${described(address)}</button></li>`,
          )}</ul>`
        : null
    }
    ${saved.length || before.length ? null : html`<p class="quiet">What you search for is listed here.</p>`}`;
}

/** The button that opens them. @param {{mayWrite: boolean}} props */
export const Searches = ({
  mayWrite,
}) => html`<${Menu} class="searches" align="end" title="Recent and saved searches"
  label=${html`<${Icon} name="clock" /><span class="visually-hidden">Recent and saved searches</span>`}>
  ${(/** @type {() => void} */ close) => html`<${Panel} close=${close} mayWrite=${mayWrite} />`}<//>`;
