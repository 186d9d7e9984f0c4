// The line that tells what the library holds, and pictures that are sent to it.

import { call, upload } from "./api.js";
import { count, loadAgain } from "./cards.js";
import { $, say } from "./dom.js";

const NAMED = 3; // refused files that are named, of many

/** Which files were refused, and why; of many, the first few. */
function toldOf(refused) {
  const named = refused.slice(0, NAMED).map(({ filename, detail }) => `${filename} (${detail.replace(/\.$/, "")})`);
  const rest = refused.length - named.length;
  const more = rest ? ` and ${rest.toLocaleString("en")} more` : "";
  return `${refused.length.toLocaleString("en")} refused: ${named.join(", ")}${more}`;
}

/** Send pictures to the library, and tell what became of them. */
export async function addPictures(files) {
  if (!files.length) return;
  $("library").textContent = `Sending ${count(files.length, "picture")} …`;
  try {
    const { images, refused } = await upload(files);
    const fresh = images.filter((one) => one.created).length;
    const parts = [`${count(fresh, "new picture")} to be indexed`];
    if (images.length > fresh) parts.push(`${(images.length - fresh).toLocaleString("en")} known already`);
    if (refused.length) parts.push(toldOf(refused));
    say(parts.join(" · "), refused.length > 0);
  } catch (problem) {
    say(problem.message, true);
  }
  showLibrary();
}

let again = 0; // one timer, however often the library changes
let away = false; // whether the server did not answer
/** Tell what the library holds, again and again while something is under way. */
export async function showLibrary() {
  const quiet = { signal: undefined };
  try {
    const found = await call("v1/status", quiet);
    if (away) loadAgain();
    away = false;
    const parts = [count(found.images, "picture"), count(found.segments, "segment")];
    if (found.pending) parts.push(`${found.pending.toLocaleString("en")} waiting`);
    if (found.failed) parts.push(`${found.failed.toLocaleString("en")} failed`);
    const ready = await fetch("readyz");
    if (!ready.ok) parts.push("the first search waits for the models");
    $("library").textContent = parts.join(" · ");
    clearTimeout(again);
    if (found.pending || !ready.ok) again = setTimeout(showLibrary, 3000);
  } catch (problem) {
    away = true;
    $("library").textContent = problem.message;
  }
}
