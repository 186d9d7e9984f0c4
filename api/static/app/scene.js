// A scene is built of chips: things that must be there, things that must not, and how they lie.

import { html, useRef, useState } from "../vendor/preact.js";
import { LINKS } from "./address.js";
import { change, query } from "./store.js";
import { Icon, Menu, sent, typed } from "./ui.js";

const MOST_THINGS = 6;

/** Add a thing to the scene. @param {string} words with `-` before them: it must not be there */
export function addThing(words) {
  const absent = words.startsWith("-"),
    name = words.replace(/^-\s*/, "").trim();
  const { things } = query();
  if (!name || things.length >= MOST_THINGS || things.some((thing) => thing.name === name)) return;
  change({ things: [...things, { name, absent }], words: "" });
}

/** @param {{close: () => void}} props */
function Builder({ close }) {
  const { things, relations } = query();
  const [name, setName] = useState("");
  const [one, setOne] = useState("");
  const [link, setLink] = useState(LINKS[0]);
  const [other, setOther] = useState("");
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  const add = (/** @type {boolean} */ absent) => {
    addThing(`${absent ? "-" : ""}${name}`);
    setName("");
    field.current?.focus();
  };
  const first = one || things[0]?.name,
    second = other || things.find((thing) => thing.name !== first)?.name;
  const choose = (
    /** @type {string} */ label,
    /** @type {string | undefined} */ value,
    /** @type {string[]} */ names,
    /** @type {(name: string) => void} */ set,
  ) => html`
    <select aria-label=${label} value=${value} onChange=${typed(set)}>
      ${names.map((text) => html`<option key=${text} value=${text} selected=${text === value}>${text}</option>`)}</select>`;
  return html`
    <p class="quiet">Pictures that hold several things, and how they lie to each other.</p>
    <form class="inline" onSubmit=${sent(() => add(false))}>
      <label class="field">A thing<input ref=${field} value=${name} maxlength="100" placeholder="dog"
        onInput=${typed(setName)} /></label>
      <button type="submit" disabled=${things.length >= MOST_THINGS}>Must be there</button>
      <button type="button" disabled=${!things.length || things.length >= MOST_THINGS} onClick=${() => add(true)}>Must not</button>
    </form>
    ${
      things.length > 1
        ? html`<div class="inline">
      ${choose(
        "One thing",
        first,
        things.map((thing) => thing.name),
        setOne,
      )}
      ${choose("How it lies", link, LINKS, setLink)}
      ${choose(
        "The other thing",
        second,
        things.map((thing) => thing.name).filter((text) => text !== first),
        setOther,
      )}
      <button type="button" disabled=${!first || !second || first === second} onClick=${() =>
        change({
          relations: [...relations, { one: first ?? "", link, other: second ?? "" }],
        })}>Must lie so</button></div>`
        : null
    }
    ${
      things.length
        ? html`<p><button type="button" onClick=${() => {
            close();
            change({ things: [], relations: [] });
          }}>Clear the scene</button></p>`
        : null
    }`;
}

/** The button that opens the builder. */
export const SceneMenu =
  () => html`<${Menu} class="scene" align="end" title="Several things in one picture" active=${query().things.length > 0}
  label=${html`<${Icon} name="scene" /><span class="label">Scene</span>`}>
  ${(/** @type {() => void} */ close) => html`<${Builder} close=${close} />`}<//>`;
