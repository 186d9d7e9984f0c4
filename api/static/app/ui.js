// Small parts that every view uses: icons, buttons, links, menus, and lines that tell what was done.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/preact.js";
import { go, link } from "./store.js";

/** Paths on a 24 x 24 grid, drawn with a stroke. @type {Record<string, string>} */
const ICONS = {
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5 20 20",
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 8.5v.01",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  close: "M6 6l12 12M18 6 6 18",
  check: "M5 12.5 10 17 19 7",
  up: "M7 11v9H4v-9zM7 20h9.5l2.5-7v-2h-6l1-6-1.5-1L7 11",
  down: "M7 13V4H4v9zM7 4h9.5l2.5 7v2h-6l1 6-1.5 1L7 13",
  like: "M5 5h8v8H5zM16 16l4 4M14.5 12a4 4 0 1 1-2.5 2.5",
  before: "M15 5l-7 7 7 7",
  after: "M9 5l7 7-7 7",
  filter: "M4 7h9M17 7h3M15 4.5v5M4 17h3M11 17h9M9 14.5v5",
  more: "M5 12v.01M12 12v.01M19 12v.01",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  tag: "M4 4h8l8 8-8 8-8-8zM8 8v.01",
  folder: "M3 6h6l2 2h10v11H3z",
  box: "M4 8h16v12H4zM4 8l2-4h12l2 4M10 12h4",
  bin: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  copy: "M8 8h12v12H8zM16 8V4H4v12h4",
  clock: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 8v4l3 2",
  scene: "M4 5h7v6H4zM13 13h7v6h-7zM11 8h3v5",
  help: "M9 9a3 3 0 1 1 4 3c-1 .5-1 1-1 2M12 17.5v.01",
  place: "M12 21c4-5 6-8 6-11a6 6 0 1 0-12 0c0 3 2 6 6 11zM12 8.5a1.5 1.5 0 1 0 0 3 1.5 1.5 0 0 0 0-3z",
  whole: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
};

/** @param {{name: string}} props */
export const Icon = ({ name }) =>
  html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${ICONS[name]} /></svg>`;

/**
 * A button with an icon; `label` is what it says to who cannot see it, and its tooltip.
 * @param {{icon: string, label: string, onClick: (event: MouseEvent) => void, class?: string,
 *   pressed?: boolean, tab?: number, disabled?: boolean, text?: string}} props
 */
export const IconButton = ({ icon, label, onClick, class: name = "", pressed, tab, disabled, text }) => html`
  <button type="button" class=${`icon-button ${name}`} title=${label} aria-label=${label} onClick=${onClick}
    aria-pressed=${pressed === undefined ? undefined : String(pressed)} tabindex=${tab} disabled=${disabled}>
    <${Icon} name=${icon} />${text ? html`<span>${text}</span>` : null}
  </button>`;

const EDGE_PX = 8; // that panels keep from the window's sides

/** Move a panel into the window where it would leave it. @param {HTMLElement} panel */
function moveIn(panel) {
  panel.style.translate = "";
  const { left, right } = panel.getBoundingClientRect(),
    { clientWidth } = document.documentElement;
  const shift =
    left < EDGE_PX ? EDGE_PX - left : Math.max(EDGE_PX - left, Math.min(0, clientWidth - EDGE_PX - right));
  panel.style.translate = `${shift}px 0`;
}

/**
 * A button that opens a panel below itself; Escape, or anything outside, closes it.
 * @param {{label: any, title?: string, class?: string, active?: boolean, align?: "start" | "end",
 *   children: any}} props `children` is given `close`
 */
export function Menu({ label, title, class: name = "", active = false, align = "start", children }) {
  const [shown, setShown] = useState(false);
  const root = useRef(/** @type {HTMLElement | null} */ (null));
  const close = () => {
    setShown(false);
    /** @type {HTMLElement | null | undefined} */ (root.current?.querySelector("button"))?.focus();
  };
  useLayoutEffect(() => {
    if (!shown) return undefined;
    const outside = (/** @type {Event} */ event) => {
      if (event.target instanceof Node && !root.current?.contains(event.target)) setShown(false);
    };
    addEventListener("pointerdown", outside);
    addEventListener("focusin", outside);
    const panel = /** @type {HTMLElement | null | undefined} */ (root.current?.querySelector(".panel"));
    // Its content may come later, and be wider.
    const observer = new ResizeObserver(() => panel && moveIn(panel));
    if (panel) {
      moveIn(panel);
      observer.observe(panel);
    }
    /** @type {HTMLElement | null | undefined} */ (panel?.querySelector("input, button, a, select"))?.focus();
    return () => {
      observer.disconnect();
      removeEventListener("pointerdown", outside);
      removeEventListener("focusin", outside);
    };
  }, [shown]);
  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Escape" || !shown) return;
    event.stopPropagation();
    close();
  };
  return html`<div class=${`menu ${name}`} ref=${root} onKeyDown=${keys}>
    <button type="button" class=${active ? "chip set" : "chip"} title=${title} aria-expanded=${String(shown)}
      onClick=${() => setShown(!shown)}>${label}<span class="caret" aria-hidden="true"></span></button>
    ${shown ? html`<div class=${`panel ${align}`}>${typeof children === "function" ? children(close) : children}</div>` : null}
  </div>`;
}

/**
 * A switch between a few: one of them is pressed.
 * @param {{label: string, value: string, options: [string, any][],
 *   onChange: (value: string) => void}} props
 */
export const Switch = ({ label, value, options, onChange }) => html`
  <div class="switch" role="group" aria-label=${label}>
    ${options.map(
      ([name, text]) => html`<button type="button" key=${name} aria-pressed=${String(name === value)}
      onClick=${() => onChange(name)}>${text}</button>`,
    )}
  </div>`;

/**
 * @typedef {object} Notice
 * @property {number} id
 * @property {string} text
 * @property {boolean} bad
 * @property {(() => void) | null} undo
 * @property {{text: string, run: () => void} | null} act
 * @property {boolean} stay
 * @property {() => void} end
 */

const NOTICE_MS = 8000;
const UNDO_MS = 20_000; // of what can be taken back
const MOST_NOTICES = 3; // unless some of them can be undone or stopped
const MOST_UNDONE = 8; // with those
/** @type {Notice[]} */
let notices = [];
/** @type {Set<() => void>} */
const readers = new Set();
let made = 0;

const showNotices = (/** @type {Notice[]} */ next) => {
  notices = next;
  for (const reader of readers) reader();
};

/** Whether something can still be done about what a notice tells. @param {Notice} notice */
const isOpen = ({ undo, stay }) => undo !== null || stay;

/** Show one more. Of many, the oldest that only tell go; where too many can be undone, the oldest is
 * over, as if its time were. @param {Notice} notice */
function add(notice) {
  const plain = notices.filter((one) => !isOpen(one));
  const most = Math.max(0, MOST_NOTICES - 1 - (notices.length - plain.length));
  const dropped = new Set(plain.slice(0, Math.max(0, plain.length - most)));
  const left = notices.filter((one) => !dropped.has(one));
  showNotices([...left, notice]);
  if (left.length >= MOST_UNDONE) left.find(({ undo }) => undo)?.end();
}

/**
 * Tell what was done, in a line that goes by itself; with `undo` it can be taken back meanwhile, and
 * `done` is called once it no longer can. What is being done may `stay` until it is ended; `act` is a
 * button that leads on, or stops it.
 * @param {string} text
 * @param {{bad?: boolean, stay?: boolean, undo?: () => void, done?: () => void,
 *   act?: {text: string, run: () => void}}} [what]
 * @returns {() => void} ends it at once, as its time would
 */
export function notify(text, { bad = false, stay = false, undo, done, act } = {}) {
  const id = ++made;
  let over = false;
  const leave = () => {
    over = true;
    showNotices(notices.filter((notice) => notice.id !== id));
  };
  const end = () => {
    if (over) return;
    leave();
    done?.();
  };
  if (!stay) setTimeout(end, undo ? UNDO_MS : NOTICE_MS);
  const back =
    undo &&
    (() => {
      if (over) return;
      leave();
      undo();
    });
  add({ id, text, bad, undo: back ?? null, act: act ?? null, stay, end });
  return end;
}

/** Ends the notices of what still waits. @type {Set<() => void>} */
const unsent = new Set();
let closing = false;

/**
 * Tell of something that seems done, and do it when the notice goes.
 * @param {string} text
 * @param {{undo: () => void, done: (options: RequestInit) => void}} what `done` is given options for its
 *   request, which has to outlive the page where that is being closed
 */
export function later(text, { undo, done }) {
  let end = () => {};
  const over = () => void unsent.delete(end);
  end = notify(text, {
    undo() {
      over();
      undo();
    },
    done() {
      over();
      done({ keepalive: closing });
    },
  });
  unsent.add(end);
}

addEventListener("pagehide", () => {
  closing = true;
  for (const end of [...unsent]) end();
  closing = false; // a page that is only put aside comes back
});

/** Where `notify` speaks. */
export function Notices() {
  const [, again] = useState({});
  useEffect(() => {
    const reader = () => again({});
    readers.add(reader);
    return () => void readers.delete(reader);
  }, []);
  return html`<div id="notices" role="status" aria-live="polite">
    ${notices.map(
      (notice) => html`<p key=${notice.id} class=${notice.bad ? "notice bad" : "notice"}>
      <span>${notice.text}</span>
      ${notice.undo ? html`<button type="button" onClick=${notice.undo}>Undo</button>` : null}
      ${notice.act ? html`<button type="button" onClick=${notice.act.run}>${notice.act.text}</button>` : null}
    </p>`,
    )}
  </div>`;
}

/** Copy text, which is selected already, and tell whether that worked: browsers give the clipboard to pages
 * by https alone, the old way works by http. @param {string} text */
export async function copied(text) {
  const done = await navigator.clipboard?.writeText(text).then(
    () => true,
    () => false,
  );
  return done || document.execCommand("copy");
}

/** Whether an event is a plain click, not one for a new tab. @param {MouseEvent} event */
export const plainClick = (event) =>
  !(event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);

/** Whether a key press belongs to somebody who types. @param {KeyboardEvent} event */
export const isTyping = (event) =>
  event.target instanceof HTMLElement &&
  Boolean(
    event.target.closest(
      "input:not([type=checkbox], [type=range], [type=file]), textarea, select, [contenteditable]",
    ),
  );

/**
 * A link to another query; a plain click stays on the page, any other does what the browser does.
 * @param {{to: import("./address.js").Query, act?: () => void, children?: any,
 *   [attribute: string]: any}} props `act` is what a plain click does instead of going there
 */
export function Go({ to, act = () => go(to), children, ...attributes }) {
  /** @param {MouseEvent} event */
  const click = (event) => {
    if (!plainClick(event)) return;
    event.preventDefault();
    act();
  };
  return html`<a href=${link(to)} ...${attributes} onClick=${click}>${children}</a>`;
}

/** A listener that hands on what a field holds. @param {(value: string) => void} hear */
export const typed = (hear) => (/** @type {Event} */ event) =>
  hear(/** @type {HTMLInputElement | HTMLSelectElement} */ (event.target).value);

/** A listener of a form that is sent nowhere. @param {() => void} act */
export const sent = (act) => (/** @type {Event} */ event) => {
  event.preventDefault();
  act();
};
