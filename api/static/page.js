// The page: what is asked stands in the address (?q=, ?segment=, ?image=), so Back works and a
// search can be sent to someone. File names and words are hostile text: textContent only.

import { follow } from "./jobs.js";
import { drawAll, drawRegion, regionAt } from "./masks.js";

const LIMIT = 24, MAX_LIMIT = 240, GALLERY = 48, THUMBNAIL = 480;
const $ = (id) => document.getElementById(id);
let running = new AbortController();
let picture = null; // a File that is searched by; it has no place in the address
let limit = LIMIT;

async function call(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { signal: running.signal, ...options });
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new Error("The server does not answer. Is segsearch still running?");
  }
  const document = await answer.json().catch(() => ({}));
  if (answer.ok) return document;
  const error = new Error(document.detail || `The server answered ${answer.status}.`);
  error.code = document.code;
  throw error;
}

function say(text, bad = false) {
  $("message").textContent = text;
  $("message").classList.toggle("bad", bad);
}

const count = (n, one) => `${n.toLocaleString("en")} ${one}${n === 1 ? "" : "s"}`;
const share = (part) => `${(100 * part).toLocaleString("en", { maximumSignificantDigits: 2 })} % of the picture`;
const nameOf = (path) => (path || "").split(/[\\/]/).pop() || "picture";

/** A card: the picture with a region marked, or plain when there is none. */
function card(item, { alt, path, label, score, act }) {
  const node = $("card").content.cloneNode(true).firstElementChild;
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
  node.querySelector(".score").textContent = score === undefined ? "" : score.toFixed(2);
  node.querySelector(".score").title = "Likeness: a cosine, the higher the better";
  const file = node.querySelector(".file");
  file.textContent = label ?? nameOf(path);
  file.title = path || "";
  if (!label) file.href = `?image=${item.image_id}`;
  const cutout = node.querySelector(".cutout");
  if (item.segment_id) cutout.href = `v1/segments/${item.segment_id}/cutout.png`;
  else cutout.remove();
  return node;
}

function show(cards) {
  $("results").replaceChildren(...cards);
  $("results").classList.remove("waiting");
}

function showHits(hits, seconds, message) {
  show(hits.map((hit) => card(hit, {
    alt: `Region in ${nameOf(hit.path)}, score ${hit.score.toFixed(2)}. Find more like this.`,
    path: hit.path,
    score: hit.score,
    act: () => go({ segment: hit.segment_id }),
  })));
  $("more").hidden = hits.length < limit || limit >= MAX_LIMIT;
  const time = seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;
  say(hits.length ? `${count(hits.length, "region")} in ${time}` : message || "Nothing found.");
}

async function search(body) {
  const json = { method: "POST", headers: { "Content-Type": "application/json" } };
  const options = body instanceof FormData
    ? { method: "POST", body }
    : { ...json, body: JSON.stringify({ ...body, limit }) };
  const { hits, seconds, message } = await call("v1/search", options);
  showHits(hits, seconds, message);
}

function ask(question, drawn = null) {
  $("asked").hidden = false;
  $("question").textContent = question;
  $("sample").hidden = drawn === null;
  if (drawn) drawSample(drawn, question).catch(() => { $("sample").hidden = true; });
}

/** A blob, or the address of a picture, fitted into the little canvas beside the question. */
async function drawSample(source, label) {
  const signal = running.signal;
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

async function showGallery() {
  const { images } = await call(`v1/images?limit=${GALLERY}`);
  const seen = images.filter((image) => image.state === "done");
  show(seen.map((image) => card(image, {
    alt: `${nameOf(image.paths[0])}. Show its regions.`,
    path: image.paths[0],
    act: () => go({ image: image.image_id }),
  })));
  say(seen.length
    ? "Say what to look for, drop a picture, or choose one to see its regions."
    : "The library is empty. Fill it with: segsearch index FOLDER");
}

async function showImage(id) {
  const image = await call(`v1/images/${id}`);
  ask(`Regions of ${nameOf(image.paths[0])}`);
  const { segments } = await call(`v1/images/${id}/segments`);
  const whole = $("whole-picture"), canvas = $("whole-masks");
  whole.onload = () => drawAll(canvas, segments, whole.naturalWidth, whole.naturalHeight);
  const frame = whole.parentElement; // as large as the picture will be, so that nothing jumps
  frame.style.aspectRatio = `${image.width} / ${image.height}`;
  frame.style.width = `min(100%, 760px, ${(70 * image.width) / image.height}vh)`;
  whole.alt = nameOf(image.paths[0]);
  whole.src = `v1/images/${id}/thumbnail?side=1024`;
  canvas.onclick = (event) => {
    const found = regionAt(segments, event.offsetX / canvas.clientWidth, event.offsetY / canvas.clientHeight);
    if (found) go({ segment: found.segment_id });
  };
  $("whole").hidden = false;
  show(segments.map((segment, number) => card(segment, {
    alt: `Region ${number + 1} of ${segments.length}. Find more like this.`,
    path: image.paths[0],
    label: share(segment.area / (image.width * image.height)),
    act: () => go({ segment: segment.segment_id }),
  })));
  say(count(segments.length, "region"));
}

/** Show what the address, or the chosen picture, asks for. */
async function render() {
  running.abort();
  running = new AbortController();
  const mine = running;
  const wanted = new URLSearchParams(location.search);
  $("words").value = wanted.get("q") || "";
  $("asked").hidden = $("whole").hidden = $("more").hidden = true;
  $("results").classList.add("waiting");
  $("results").setAttribute("aria-busy", "true");
  say("Searching …");
  document.title = wanted.get("q") ? `${wanted.get("q")} · segsearch` : "segsearch";
  try {
    if (picture) {
      ask(`Like the picture ${picture.name}`, picture);
      const form = new FormData();
      form.append("picture", picture, "picture");
      form.append("limit", limit);
      await search(form);
    } else if (wanted.has("segment")) {
      const id = wanted.get("segment");
      ask("Like this region", `v1/segments/${encodeURIComponent(id)}/cutout.png`);
      await search({ segment_id: id });
    } else if (wanted.has("image")) await showImage(encodeURIComponent(wanted.get("image")));
    else if (wanted.has("q")) await search({ text: wanted.get("q") });
    else await showGallery();
  } catch (problem) {
    if (mine !== running) return; // a later question has taken over
    show([]);
    if (problem.code === "library_missing_error") say("The library is empty. Fill it with: segsearch index FOLDER");
    else say(problem.message, true);
  }
  if (mine === running) $("results").setAttribute("aria-busy", "false");
}

function go(wanted) {
  picture = null;
  limit = LIMIT;
  const query = new URLSearchParams(wanted).toString();
  history.pushState(null, "", query ? `?${query}` : location.pathname);
  scrollTo({ top: 0 });
  render();
}

function searchByPicture(file) {
  if (!file) return;
  history.pushState(null, "", location.pathname);
  picture = file;
  limit = LIMIT;
  scrollTo({ top: 0 });
  render();
}

async function showLibrary() {
  const quiet = { signal: undefined };
  try {
    const found = await call("v1/status", quiet);
    const parts = [count(found.images, "picture"), count(found.segments, "segment")];
    if (found.pending) parts.push(`${found.pending.toLocaleString("en")} waiting`);
    if (found.failed) parts.push(`${found.failed.toLocaleString("en")} failed`);
    const ready = await fetch("readyz");
    if (!ready.ok) parts.push("the first search waits for the models");
    $("library").textContent = parts.join(" · ");
    if (found.pending || !ready.ok) setTimeout(showLibrary, 3000);
  } catch (problem) {
    $("library").textContent = problem.message;
  }
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
$("file").addEventListener("change", () => {
  searchByPicture($("file").files[0]);
  $("file").value = ""; // the same file can be chosen again
});
$("clear").addEventListener("click", () => { go({}); $("words").focus(); });
$("home").addEventListener("click", (event) => {
  if (!plainClick(event)) return;
  event.preventDefault();
  go({});
});
$("more").addEventListener("click", () => {
  limit = Math.min(limit * 2, MAX_LIMIT);
  render();
});
$("results").addEventListener("click", (event) => {
  const link = event.target.closest("a.file[href]");
  if (!link || !plainClick(event)) return;
  event.preventDefault();
  go({ image: new URL(link.href).searchParams.get("image") });
});
addEventListener("popstate", () => { picture = null; limit = LIMIT; render(); });

const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});
addEventListener("drop", (event) => {
  document.body.classList.remove("dropping");
  if (!carriesFiles(event)) return;
  event.preventDefault();
  searchByPicture(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => searchByPicture(event.clipboardData?.files[0]));

let due = 0; // the counts, and a gallery that shows everything, follow what is indexed
function libraryChanged() {
  clearTimeout(due);
  due = setTimeout(() => {
    showLibrary();
    if (!location.search && !picture) render();
  }, 500);
}

showLibrary();
render();
follow($("job"), $("job-bar"), libraryChanged);
