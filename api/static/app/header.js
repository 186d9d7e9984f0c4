// The bar at the top: what is asked for, and the ways to say it.

import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { empty, filtered } from "./address.js";
import { keepPicture, sentence } from "./api.js";
import { FilterBar } from "./filters.js";
import { unindexed, useJobs } from "./jobs.js";
import { parted } from "./request.js";
import { addThing, SceneMenu } from "./scene.js";
import { Searches } from "./searches.js";
import { change, changed, go, query } from "./store.js";
import { Terms } from "./terms.js";
import { Go, Icon, IconButton, notify, sent, Switch } from "./ui.js";

const MOST_WORDS = 1000; // characters: the server's limit

/** Search by a picture beside what is asked for already; nothing else stays but filters where there
 * are no words. @param {File} file */
export async function searchByPicture(file) {
  if (!file.type.startsWith("image/") && file.type !== "") {
    return notify(`${file.name} is not a picture.`, { bad: true });
  }
  const end = notify(`Looking at ${file.name} …`);
  try {
    const { picture_id: id } = await keepPicture(file);
    change({
      terms: [...query().terms.filter((term) => term.kind !== "picture"), { kind: "picture", id, weight: 1 }],
      view: "grid",
    });
  } catch (problem) {
    notify(sentence(problem), { bad: true });
  }
  return end();
}

const carriesFiles = (/** @type {DragEvent} */ event) => Boolean(event.dataTransfer?.types.includes("Files"));

/** Pictures that are dropped or pasted anywhere are searched by; several files, or folders, are added.
 * What comes back ends that.
 * @param {(data: DataTransfer) => void} addAll */
export function takePictures(addAll) {
  const end = new AbortController(),
    { signal } = end;
  addEventListener(
    "dragover",
    (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      document.body.classList.add("dropping");
    },
    { signal },
  );
  addEventListener(
    "dragleave",
    (event) => {
      if (!event.relatedTarget) document.body.classList.remove("dropping");
    },
    { signal },
  );
  addEventListener(
    "drop",
    (event) => {
      document.body.classList.remove("dropping");
      if (!carriesFiles(event) || !event.dataTransfer) return;
      event.preventDefault();
      const target = event.target instanceof Element ? event.target.closest("[data-drop]") : null;
      // A picture from another page comes with its address, which is no second file.
      const [first, more] = [...event.dataTransfer.items].filter(({ kind }) => kind === "file");
      const folder = first?.webkitGetAsEntry?.()?.isDirectory;
      const { files } = event.dataTransfer;
      if (more || folder || target) addAll(event.dataTransfer);
      else if (files[0]) void searchByPicture(files[0]);
    },
    { signal },
  );
  addEventListener(
    "paste",
    ({ clipboardData: pasted }) => {
      // Office programs copy words with a picture of them; to paste the words is what is meant.
      if (!pasted?.files.length || ["text/plain", "text/html"].every((kind) => pasted.types.includes(kind)))
        return;
      void searchByPicture(pasted.files[0]);
    },
    { signal },
  );
  return () => end.abort();
}

/** @param {{query: import("./address.js").Query, mayWrite: boolean, onHelp: () => void}} props */
function SearchBox({ query: now, mayWrite, onHelp }) {
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  // What is typed beside the words it began from: it stays until others are asked for.
  const [said, setSaid] = useState({ typed: now.words, from: now.words });
  useEffect(() => {
    setSaid((was) => (was.from === now.words ? was : { typed: now.words, from: now.words }));
  }, [now.words]);
  const typed = said.from === now.words ? said.typed : now.words;
  const setTyped = (/** @type {string} */ words) => setSaid({ typed: words, from: now.words });
  const hear = (/** @type {any} */ { target: { value } }) => {
    setTyped(value.slice(0, MOST_WORDS));
    if (value.length > MOST_WORDS)
      notify(`Only the first ${MOST_WORDS} characters are looked for.`, { bad: true });
  };
  const scene = now.things.length > 0;
  const clear = () => {
    setTyped("");
    go(changed({ words: "", terms: [], things: [], relations: [], like: [], unlike: [], all: false }));
    input.current?.focus();
  };
  const submit = sent(() => {
    const words = typed.trim();
    if (!words && now.words && !now.terms.length) return clear();
    if (scene && words) {
      setTyped("");
      return addThing(words);
    }
    if (!words && !now.terms.length && !scene) {
      notify("Say what to look for first.");
      return input.current?.focus();
    }
    if (words && !parted(words).wanted && !now.terms.length) {
      return notify("Say what to look for, too: “-” alone only leaves things out.", { bad: true });
    }
    return change({ words, view: "grid", like: [], unlike: [], all: false });
  });
  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Backspace" || typed || !now.terms.length) return;
    change({ terms: now.terms.slice(0, -1) });
  };
  const any = typed || now.terms.length || scene || now.like.length;
  return html`<div class="search" role="search">
    <div class="box" onClick=${(/** @type {Event} */ event) => {
      if (event.target === event.currentTarget) input.current?.focus();
    }}>
      <${Icon} name="search" />
      <${Terms} query=${now} />
      <form id="form" onSubmit=${submit}><input id="words" ref=${input} type="text" enterkeyhint="search" autocomplete="off" value=${typed}
        aria-label="What to look for" title=${'A minus before a word leaves it out: dog -leash. Words that stand in pictures: text:"24 hours"'}
        placeholder=${scene ? "another thing, such as frisbee" : now.terms.length ? "and words" : 'a red umbrella -beach, or text:"exit"'}
        onInput=${hear} onKeyDown=${keys} /></form>
      <span class="ways">${
        any
          ? html`<button type="button" class="icon-button" aria-label="Clear what is asked for" title="Clear" onClick=${clear}><${Icon} name="close" /></button>`
          : null
      }
      <label class="icon-button" title="Search by a picture: choose, drop or paste one"><${Icon} name="picture" />
        <input id="file" class="visually-hidden" type="file" accept="image/*" aria-label="Search by a picture"
          onChange=${(/** @type {any} */ event) => {
            const [file] = event.target.files;
            event.target.value = ""; // the same file can be chosen again
            if (file) void searchByPicture(file);
          }} /></label>
      <${Searches} mayWrite=${mayWrite} />
      <${IconButton} icon="help" label="Keys and help" onClick=${onHelp} /></span>
    </div>
    <button type="submit" form="form" class="main">Search</button>
  </div>`;
}

/** The views, and on the last of them a mark while pictures could not be indexed. @param {number} failed
 * @returns {[string, any][]} */
const viewsOf = (failed) => [
  ["grid", "Grid"],
  ["map", "Map"],
  [
    "status",
    failed ? html`Status<span class="mark" title=${unindexed(failed, "picture")}>!</span>` : "Status",
  ],
];

/**
 * @param {{query: import("./address.js").Query, adding: any, working: any, mayWrite: boolean,
 *   onHelp: () => void}} props
 *   `adding` and `working` are what adds pictures, and what tells of it
 */
export function Header({ query: now, adding, working, mayWrite, onHelp }) {
  const [open, setOpen] = useState(false);
  const { status } = useJobs();
  const failed = status ? status.failed + status.quarantined : 0;
  const bar = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    if (!bar.current) return undefined;
    // What gets the focus is scrolled out from under the bar, however many lines that has.
    const observer = new ResizeObserver(([{ target }]) =>
      document.documentElement.style.setProperty(
        "--bar",
        `${/** @type {HTMLElement} */ (target).offsetHeight}px`,
      ),
    );
    observer.observe(bar.current);
    return () => observer.disconnect();
  }, []);
  return html`<header id="bar" ref=${bar}>
    <div class="line">
      <${Go} class="name" id="home" to=${empty()}>segsearch<//>
      <${SearchBox} query=${now} mayWrite=${mayWrite} onHelp=${onHelp} />
      <div class="tools">
        <button type="button" class=${filtered(now) ? "chip set" : "chip"} aria-expanded=${String(open)} onClick=${() => setOpen(!open)}>
          <${Icon} name="filter" /><span class="label">Filters</span></button>
        <${SceneMenu} />
        ${mayWrite ? adding : null}
        <${Switch} label="View" value=${now.view} options=${viewsOf(failed)} onChange=${(/** @type {any} */ view) => go({ ...query(), view, image: 0, segment: 0 })} />
      </div>
    </div>
    <${FilterBar} query=${now} open=${open} />
    ${working}
  </header>`;
}
