// What is looked for beside words, as chips in the search box: regions, pictures, things of a scene.

import { html } from "../vendor/preact.js";
import { crop, thumbnail, uploaded } from "./api.js";
import { change, query } from "./store.js";
import { Icon, Menu, typed } from "./ui.js";
import { useCut } from "./likeness.js";

/** @typedef {import("./address.js").Term} Term */

const MOST_SIDE = 960; // of a picture of which a chip shows a part
const KINDS = { segment: "Region", image: "Picture", picture: "Uploaded picture", cut: "Cut-out" };

/** @param {Event} event of a picture that is not there */
const hide = ({ target }) => {
  /** @type {HTMLElement} */ (target).hidden = true;
};

/** The picture of a term; of a cut the square around it. @param {{term: Term}} props */
export function TermPicture({ term }) {
  const cut = useCut(term);
  if (!cut) {
    const make = { segment: crop, picture: uploaded }[/** @type {"segment" | "picture"} */ (term.kind)];
    return html`<img alt="" onError=${hide} src=${make ? make(term.id) : thumbnail(Number(term.id), 160)} />`;
  }
  const [height, width] = cut.mask.size,
    [x0, y0, x1, y1] = cut.box,
    side = 1.2 * Math.max(x1 - x0, y1 - y0); // as the crop of a region
  const shares = [width / side, height / side, (side - x0 - x1) / 2 / side, (side - y0 - y1) / 2 / side];
  const [across, down, left, top] = shares.map((share) => `${100 * share}%`);
  return html`<i class="crop"><img alt="" src=${thumbnail(Number(term.id), Math.min(MOST_SIDE, (48 * Math.max(width, height)) / side))}
    style=${`width:${across};height:${down};left:${left};top:${top}`} /></i>`;
}

/** How much a term counts, in words. @param {number} weight */
export const weighed = (weight) =>
  weight < 0
    ? "not like it"
    : weight === 1
      ? "as much as the words"
      : weight > 1
        ? `${weight} times the words`
        : `${weight} of the words`;

/** @param {number} at @param {Partial<Term> | null} changes null takes the term out */
function changeTerm(at, changes) {
  const terms = query().terms.flatMap((term, i) =>
    i !== at ? [term] : changes ? [{ ...term, ...changes }] : [],
  );
  change({ terms });
}

/** @param {{term: Term, at: number}} props */
function TermChip({ term, at }) {
  const name = KINDS[term.kind];
  const label = html`<${TermPicture} term=${term} /><span>${term.weight < 0 ? "not " : ""}${name.toLowerCase().replace("uploaded ", "")}</span>
    ${term.weight !== 1 && term.weight > 0 ? html`<span class="quiet">${term.weight}</span>` : null}`;
  return html`<span class=${`term${term.weight < 0 ? " negative" : ""}`} data-term=${term.kind}>
    <${Menu} label=${label} title="How much it counts">
      <label class="field">How much it counts: ${weighed(term.weight)}
        <input type="range" min="-1" max="2" step="0.1" value=${term.weight} aria-label=${`Weight of the ${name.toLowerCase()}`}
          onChange=${typed((weight) => changeTerm(at, { weight: Number(weight) || 0.1 }))} /></label>
    <//>
    <button type="button" class="remove" aria-label=${`Remove the ${name.toLowerCase()}`} onClick=${() => changeTerm(at, null)}><${Icon} name="close" /></button>
  </span>`;
}

/** @param {{text: string, negative?: boolean, onRemove: () => void}} props */
const WordChip = ({ text, negative = false, onRemove }) => html`
  <span class=${`term words${negative ? " negative" : ""}`}><span>${text}</span>
    <button type="button" class="remove" aria-label=${`Remove ${text}`} onClick=${onRemove}><${Icon} name="close" /></button></span>`;

/** The chips of all that is asked for beside words. @param {{query: import("./address.js").Query}} props */
export function Terms({ query: { terms, things, relations, like, unlike } }) {
  const judged = like.length + unlike.length;
  return html`
    ${things.map(
      (thing, at) => html`<${WordChip} key=${`t${at}`} text=${thing.absent ? `no ${thing.name}` : thing.name}
      negative=${thing.absent} onRemove=${() =>
        change({
          things: things.filter((_, i) => i !== at),
          relations: relations.filter(({ one, other }) => one !== thing.name && other !== thing.name),
        })} />`,
    )}
    ${relations.map(
      (
        relation,
        at,
      ) => html`<${WordChip} key=${`r${at}`} text=${`${relation.one} ${relation.link} ${relation.other}`}
      onRemove=${() => change({ relations: relations.filter((_, i) => i !== at) })} />`,
    )}
    ${terms.map((term, at) => html`<${TermChip} key=${`${term.kind}${term.id}${at}`} term=${term} at=${at} />`)}
    ${
      judged
        ? html`<${WordChip} text=${`${like.length ? `${like.length} right` : ""}${like.length && unlike.length ? ", " : ""}${unlike.length ? `${unlike.length} wrong` : ""}`}
      onRemove=${() => change({ like: [], unlike: [] })} />`
        : null
    }`;
}
