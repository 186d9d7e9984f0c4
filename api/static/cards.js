// Cards: a picture with a region marked, and what can be done with it. File names and words are
// hostile text: textContent only.

import { drawRegion } from "./masks.js";

const THUMBNAIL = 480;
const THUMBS = { like: ".right", unlike: ".wrong" };

export const count = (n, one) => `${n.toLocaleString("en")} ${one}${n === 1 ? "" : "s"}`;
export const nameOf = (path) => (path || "").split(/[\\/]/).pop() || "picture";
export const share = (part) => `${(100 * part).toLocaleString("en", { maximumSignificantDigits: 2 })} % of the picture`;

/** A card of an image or a segment; `act` is what a click on its picture does. */
export function card(item, { alt, path, label, act }) {
  const node = document.getElementById("card").content.cloneNode(true).firstElementChild;
  const image = node.querySelector("img"), button = node.querySelector(".look");
  const canvas = node.querySelector("canvas");
  image.addEventListener("load", () => {
    if (item.mask) drawRegion(canvas, item, image.naturalWidth, image.naturalHeight);
  });
  image.addEventListener("error", () => node.classList.add("gone"));
  image.src = `v1/images/${item.image_id}/thumbnail?side=${THUMBNAIL}`;
  image.alt = alt;
  button.addEventListener("click", act);
  button.title = item.segment_id ? "Find more like this" : "Show its regions";
  const file = node.querySelector(".file");
  file.textContent = label ?? nameOf(path);
  file.title = path || "";
  if (!label) file.href = `?image=${item.image_id}`;
  const cutout = node.querySelector(".cutout");
  if (item.segment_id) cutout.href = `v1/segments/${item.segment_id}/cutout.png`;
  else cutout.remove();
  return node;
}

/** Ask again for the pictures that could not be loaded, as when the server was away. */
export function loadAgain() {
  for (const node of document.querySelectorAll(".card.gone")) {
    node.classList.remove("gone");
    const image = node.querySelector("img");
    image.src = image.src;
  }
}

/** The button of a hit's card that gives a verdict. */
export const thumbOf = (node, verdict) => node.querySelector(THUMBS[verdict]);

/** A card of a hit: how well it matches, and two buttons to say whether it is what was meant.
 * From `likely` on, its relevance is more than a chance find's. */
export function hitCard(hit, { likely, act, judge, judged }) {
  const score = hit.score.toFixed(2);
  const alt = `Region in ${nameOf(hit.path)}, score ${score}. Find more like this.`;
  const node = card(hit, { alt, path: hit.path, act });
  const shown = node.querySelector(".score");
  shown.textContent = score;
  const known = hit.relevance !== null && hit.relevance !== undefined;
  const relevance = known ? ` Relevance ${Math.round(100 * hit.relevance)} %: below ${100 * likely} % it may be chance.` : "";
  node.classList.toggle("unlikely", known && hit.relevance < likely);
  shown.title = `Likeness: a cosine, the higher the better.${relevance}`;
  node.dataset.segment = hit.segment_id;
  node.querySelector(".thumbs").hidden = false;
  for (const verdict of Object.keys(THUMBS)) {
    const button = thumbOf(node, verdict);
    const chosen = judged(verdict, hit.segment_id);
    button.setAttribute("aria-pressed", String(chosen));
    button.addEventListener("click", () => judge(verdict, hit.segment_id, !chosen));
  }
  return node;
}
