// The page: what is asked stands in the address (?q=, ?segment=, ?image=, ?image=&at=x,y), so Back
// works and a search can be sent to someone. File names and words are hostile text: textContent only.

import { judgedSo, judgements, oddity, query, wanted } from "./address.js";
import { call, search, startAsking } from "./api.js";
import { card, count, hitCard, nameOf, share, thumbOf } from "./cards.js";
import { $, say } from "./dom.js";
import { follow } from "./jobs.js";
import { addPictures, showLibrary } from "./library.js";
import { drawAll, drawRegion, regionAt } from "./masks.js";
import { takePictures } from "./taking.js";
import { showWhole } from "./whole.js";

const LIMIT = 24, GALLERY = 48, LONGEST_PAGE = 1000;
const SEARCHING = "Searching …", NOT_FOUND = "not_found_error";
const EMPTY = "The library is empty. Fill it with: segsearch index FOLDER";
let asking = startAsking();
let picture = null; // a File that is searched by; it has no place in the address
const pictures = new Map(); // ... but Back finds it again, by its name in the history's entry
let cursor = null; // where the next page begins
let gallery = GALLERY; // so many pictures are shown while nothing is asked
let steering = false; // whether the keys were on the picture when the question came
let passing = ""; // a message that the gallery may replace; anything else was said to be read

function show(cards) {
  $("results").replaceChildren(...cards);
  $("results").classList.remove("waiting");
}

function ask(question, drawn = null) {
  $("asked").hidden = false;
  $("question").textContent = question;
  $("sample").hidden = drawn === null;
  if (drawn) drawSample(drawn, question).catch(() => { $("sample").hidden = true; });
}

/** A blob, or the address of a picture, fitted into the little canvas beside the question. */
async function drawSample(source, label) {
  const signal = asking;
  const blob = typeof source === "string" ? await (await fetch(source, { signal })).blob() : source;
  const bitmap = await createImageBitmap(blob);
  if (signal.aborted) return;
  const canvas = $("sample"), side = canvas.width;
  const scale = Math.min(side / bitmap.width, side / bitmap.height);
  const width = bitmap.width * scale, height = bitmap.height * scale;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, side, side);
  context.drawImage(bitmap, (side - width) / 2, (side - height) / 2, width, height);
  canvas.setAttribute("aria-label", label);
}

function made({ hits, min_relevance }) {
  const judged = judgements(picture);
  return hits.map((hit) => hitCard(hit, {
    likely: min_relevance,
    act: () => go({ segment: hit.segment_id }),
    judge,
    judged: (verdict, id) => judged.some(([one, about]) => one === verdict && about === id),
  }));
}

/** The first page. Judged regions that are gone by now leave the address; how many comes back, too. */
async function searchOn() {
  for (let gone = 0; ; gone++) {
    try {
      return { answer: await search({ ...query(picture), limit: LIMIT }, picture), gone };
    } catch (problem) {
      const id = problem.code === NOT_FOUND && Number(problem.message.match(/no segment (\d+)/)?.[1]);
      const judged = judgements(picture), rest = judged.filter(([, about]) => about !== id);
      if (rest.length === judged.length) throw problem;
      history.replaceState(history.state, "", addressOf(judgedSo(rest, picture)));
      libraryChanged();
    }
  }
}

/** Search, and show the first page. The answer comes back, for what was pointed at. */
async function askAndShow() {
  const { answer, gone } = await searchOn();
  const { hits, seconds, message } = answer;
  show(made(answer));
  cursor = answer.next_cursor;
  $("more").hidden = !cursor;
  const time = seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;
  const known = hits.some((hit) => hit.relevance !== null);
  const likely = document.querySelectorAll("#results .card:not(.unlikely)").length;
  const told = known && likely < hits.length ? `, ${likely.toLocaleString("en")} of them likely` : "";
  const first = hits.length ? `${cursor ? "First " : ""}${count(hits.length, "region")} in ${time}${told}` : "";
  const left = gone ? ` · ${count(gone, "judged region")} ${gone === 1 ? "is" : "are"} gone, and left out` : "";
  say((first || message || "Nothing found.") + left);
  $("anyway").hidden = hits.length > 0 || !message || picture !== null || wanted().has("all");
  return answer;
}

async function showMore() {
  $("more").disabled = true;
  const shown = $("results").childElementCount;
  try {
    if (location.search || picture) {
      const answer = await search({ ...query(picture), limit: LIMIT, cursor }, picture);
      $("results").append(...made(answer));
      cursor = answer.next_cursor;
      $("more").hidden = !cursor;
      say(count($("results").childElementCount, "region"));
    } else {
      gallery += GALLERY;
      await showGallery();
    }
    $("results").children[shown]?.querySelector(".look").focus({ preventScroll: true });
  } catch (problem) {
    if (problem.name !== "AbortError") say(problem.message, true);
    if (problem.code === NOT_FOUND) libraryChanged();
  }
  $("more").disabled = false;
}

/** Search again with a hit taken as right or wrong, or no longer so. */
function judge(verdict, id, chosen) {
  const others = judgements(picture).filter(([, about]) => about !== id);
  const place = [...$("results").children].findIndex((node) => node.dataset.segment === String(id));
  const held = { verdict, id, place, seen: document.activeElement.matches(":focus-visible") };
  go(judgedSo(chosen ? [...others, [verdict, id]] : others, picture), picture, held);
}

/** Focus the thumb that was pressed where its card is now, else that of the card in its place. */
function focusAgain({ verdict, id, place, seen }) {
  if (document.activeElement !== document.body) return; // it went elsewhere meanwhile
  const cards = [...$("results").children];
  const same = cards.find((node) => node.dataset.segment === String(id));
  const node = same ?? cards[Math.min(place, cards.length - 1)];
  (node ? thumbOf(node, verdict) : $("clear")).focus({ preventScroll: !seen });
}

/** So many of the pictures that are indexed, or all, oldest first. */
async function firstPictures(wanted) {
  const signal = asking, found = [];
  for (let after = 0; after !== null && found.length < wanted;) {
    const limit = Math.min(wanted - found.length, LONGEST_PAGE);
    const { images, next_after } = await call(`v1/images?state=done&limit=${limit}&after=${after}`, { signal });
    found.push(...images);
    after = next_after;
  }
  return found;
}

/** The pictures that are indexed, a number of them. Cards that are there stay, so that one keeps the
 * focus, and so does a message that is not the gallery's own. */
async function showGallery() {
  const found = await firstPictures(gallery + 1);
  const images = found.slice(0, gallery);
  const line = images.length
    ? "Say what to look for, drop a picture, or choose one to see its regions."
    : nothingDone(await call("v1/status"));
  const list = $("results"), there = [...list.children];
  const cards = images.map((image) =>
    there.find((node) => node.dataset.image === String(image.image_id)) ?? galleryCard(image));
  for (const node of there) if (!cards.includes(node)) node.remove();
  cards.forEach((node, at) => {
    if (node !== list.children[at]) list.insertBefore(node, list.children[at] ?? null);
  });
  list.classList.remove("waiting");
  $("more").hidden = found.length <= gallery;
  if ($("message").textContent === passing) say(passing = line);
}

function galleryCard(image) {
  const node = card(image, {
    alt: `${nameOf(image.paths[0])}. Show its regions.`,
    path: image.paths[0],
    act: () => go({ image: image.image_id }),
  });
  node.dataset.image = image.image_id;
  return node;
}

function nothingDone({ images, pending }) {
  if (!images) return EMPTY;
  return pending
    ? "The pictures are being indexed; each appears here when it is done."
    : "None of the pictures could be indexed.";
}

function pointAt(image, x, y) {
  const pixel = (share, side) => Math.min(side - 1, Math.floor(share * side));
  go({ image: image.image_id, at: `${pixel(x, image.width)},${pixel(y, image.height)}` });
}

function sayState({ reason }) {
  show([]);
  say(reason || "It waits to be indexed.", Boolean(reason));
}

async function showImage(id) {
  const image = await call(`v1/images/${id}`);
  ask(`Regions of ${nameOf(image.paths[0])}`);
  if (image.state !== "done") return sayState(image);
  const { segments } = await call(`v1/images/${id}/segments`);
  showWhole(image, {
    draw: (canvas, width, height) => drawAll(canvas, segments, width, height),
    act: (x, y) => {
      const found = regionAt(segments, x, y);
      if (found) go({ segment: found.segment_id });
      else pointAt(image, x, y);
    },
    label: "Its regions, each in a colour",
    focused: steering,
  });
  $("hint").textContent = "Choose a region, here or below, to find more like it; anything else you click on is cut out.";
  show(segments.map((segment, number) => card(segment, {
    alt: `Region ${number + 1} of ${segments.length}. Find more like this.`,
    path: image.paths[0],
    label: share(segment.area / (image.width * image.height)),
    act: () => go({ segment: segment.segment_id }),
  })));
  say(count(segments.length, "region"));
}

/** What lies at a point: its mask in the picture, other masks to choose, and regions like it. The
 * picture comes first, so that one can point elsewhere where nothing is found. */
async function showPointed(id) {
  const image = await call(`v1/images/${id}`);
  ask(`Like what lies at ${wanted().get("at")} in ${nameOf(image.paths[0])}`);
  if (!image.width) return sayState(image); // nobody has looked at it yet
  const [x, y] = wanted().get("at").split(",").map(Number);
  let found = null;
  const paint = showWhole(image, {
    draw: (canvas, width, height) => { if (found) drawRegion(canvas, found, width, height); },
    act: (...place) => pointAt(image, ...place),
    label: "The picture to point at",
    focused: steering,
    start: [(x + 0.5) / image.width, (y + 0.5) / image.height],
  });
  $("hint").textContent = "Click elsewhere to point at something else.";
  const { pointed: [{ candidates, chosen }] } = await askAndShow().catch((problem) => {
    // Here no box can be given.
    if (problem.code) problem.message = problem.message.replace(", or give a box.", ".");
    throw problem;
  });
  found = candidates[chosen];
  paint();
  $("whole-masks").setAttribute("aria-label", "What you pointed at, outlined");
  const ordered = candidates.map((one, number) => ({ ...one, number })).sort((a, b) => a.area - b.area);
  $("candidates").replaceChildren(...ordered.map(({ number, area }) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = share(area / (image.width * image.height));
    button.setAttribute("aria-pressed", String(number === chosen));
    button.addEventListener("click", () => go({ image: id, at: wanted().get("at"), candidate: number }));
    return button;
  }));
  $("candidates").hidden = candidates.length < 2;
}

/** The words that are asked for, where they are not all that counts. */
function askWords() {
  const judged = judgements(picture).length;
  if (judged) ask(`“${wanted().get("q")}”, and what you said of ${count(judged, "region")}`);
  else $("asked").hidden = true;
}

async function showAsked() {
  const at = wanted(), odd = oddity();
  if (odd) throw new Error(odd);
  if (picture) {
    ask(`Like the picture ${picture.name}`, picture);
    await askAndShow();
  } else if (at.has("segment")) {
    ask("Like this region", `v1/segments/${at.get("segment")}/cutout.png`);
    await askAndShow();
  } else if (at.has("at")) await showPointed(Number(at.get("image")));
  else if (at.has("image")) await showImage(at.get("image"));
  else if (at.has("q")) {
    askWords();
    await askAndShow();
    askWords(); // what was judged may be gone
  } else await showGallery();
}

/** Show what the address, or the chosen picture, asks for; `held` is the thumb that was pressed. */
async function render(held = null) {
  asking = startAsking();
  const mine = asking;
  const words = wanted().get("q") || "";
  steering = document.activeElement === $("whole-masks"); // hidden in a moment, and focused no more
  $("words").value = words;
  for (const id of ["asked", "whole", "more", "anyway", "candidates"]) $(id).hidden = true;
  $("results").classList.add("waiting");
  $("results").setAttribute("aria-busy", "true");
  say(passing = SEARCHING);
  document.title = words ? `${words} · segsearch` : "segsearch";
  try {
    await showAsked();
  } catch (problem) {
    if (mine.aborted) return; // a later question has taken over
    show([]);
    const missing = problem.code === "library_missing_error";
    say(passing = missing ? EMPTY : problem.message, !missing);
    if (problem.code === NOT_FOUND) libraryChanged();
  }
  if (mine.aborted) return;
  $("results").setAttribute("aria-busy", "false");
  if (held) focusAgain(held);
}

function addressOf(next) {
  const text = new URLSearchParams(next).toString();
  return text ? `?${text}` : location.pathname;
}

function go(next, file = null, held = null) {
  picture = file;
  const name = `${performance.timeOrigin} ${pictures.size}`; // entries outlive a reload, files do not
  if (file) pictures.set(name, file);
  history.pushState(file && name, "", addressOf(next));
  scrollTo({ top: 0 });
  render(held);
}

function plainClick(event) {
  return !(event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const words = $("words").value.trim();
  if (words) go({ q: words });
  else { say("Say what to look for first.", true); $("words").focus(); }
});
takePictures($("file"), (file) => go({}, file));
$("add").addEventListener("change", () => {
  addPictures([...$("add").files]);
  $("add").value = "";
});
$("clear").addEventListener("click", () => { go({}); $("words").focus(); });
$("anyway").addEventListener("click", () => go([...wanted(), ["all", 1]]));
$("home").addEventListener("click", (event) => {
  if (!plainClick(event)) return;
  event.preventDefault();
  go({});
});
$("more").addEventListener("click", showMore);
$("results").addEventListener("click", (event) => {
  const link = event.target.closest("a.file[href]");
  if (!link || !plainClick(event)) return;
  event.preventDefault();
  go({ image: new URL(link.href).searchParams.get("image") });
});
addEventListener("popstate", ({ state }) => { picture = pictures.get(state) ?? null; render(); });

let due = 0; // the counts, and a gallery that shows everything, follow what is indexed
function libraryChanged() {
  clearTimeout(due);
  due = setTimeout(() => {
    showLibrary();
    if (!location.search && !picture) showGallery().catch(() => {}); // the counts say what is wrong
  }, 500);
}

// What gets the focus is scrolled out from under the search bar, however many lines that has.
new ResizeObserver(([{ target }]) =>
  document.documentElement.style.setProperty("--bar", `${target.offsetHeight}px`)).observe($("form").parentElement);

showLibrary();
render();
follow($("job"), $("job-bar"), libraryChanged);
