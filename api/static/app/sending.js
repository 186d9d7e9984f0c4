// Files on their way to the server: chosen, or dropped with whole folders, sent a few at a time while
// the page goes on. What is refused is kept with the reason; what could not be sent is kept to try again.

import { call, isAbort, post, Refusal, sentence, upload } from "./api.js";
import { noteSent } from "./jobs.js";
import { count } from "./sayings.js";
import { notify } from "./ui.js";

/**
 * @typedef {{file: File, into: string, folder: string}} Waiting `into` is a collection, or "";
 *   `folder` is where the file lies, or "": its name becomes the album
 * @typedef {{name: string, reason: string}} Refused
 *
 * @typedef {object} Sending
 * @property {Waiting[]} waiting
 * @property {number} total files that were handed over since the last was through
 * @property {number} done
 * @property {number} bytes of all of them
 * @property {number} sentBytes
 * @property {number} added
 * @property {number} known that the library had already
 * @property {Refused[]} refused
 * @property {number} passed files of folders that are hidden, or neither pictures nor videos by their endings
 * @property {number} looking folders that are being looked through
 * @property {string} problem why sending has stopped
 * @property {string} into the collection of what is being sent
 */

// Sent at once: few, so that it is seen to go on.
const FORM_FILES = 24,
  FORM_BYTES = 8_000_000;
const MOST_REFUSED = 1000; // whose reasons are kept
// What a folder's files are taken by, as `segsearch index` does.
export const ENDINGS = [
  "jpg",
  "jpeg",
  "jpe",
  "jfif",
  "png",
  "webp",
  "gif",
  "tif",
  "tiff",
  "bmp",
  "avif",
  "heic",
  "heif",
  "hif",
  "mpo",
  "ppm",
  "pgm",
  "pbm",
  "jp2",
  "pdf",
  "mp4",
  "m4v",
  "mov",
  "mkv",
  "webm",
  "avi",
  "ts",
  "mts",
  "dng",
  "cr2",
  "cr3",
  "crw",
  "nef",
  "nrw",
  "arw",
  "sr2",
  "srf",
  "raf",
  "orf",
  "rw2",
  "rwl",
  "pef",
  "srw",
  "3fr",
  "iiq",
  "x3f",
  "erf",
  "kdc",
];
const KNOWN = new Set(ENDINGS);
const UNREADABLE = "It cannot be read, or has changed since: choose it again.";
const byName = new Intl.Collator("en", { numeric: true });

/** @returns {Sending} */
const nothing = () => ({
  waiting: [],
  total: 0,
  done: 0,
  bytes: 0,
  sentBytes: 0,
  added: 0,
  known: 0,
  refused: [],
  passed: 0,
  looking: 0,
  problem: "",
  into: "",
});
let state = nothing();
let stop = new AbortController();
let running = false;
/** @type {Set<() => void>} */
const listeners = new Set();

/** How sending goes. */
export const sending = () => state;
/** @param {() => void} listener */
export function onSending(listener) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}
/** @param {Partial<Sending>} changes */
function set(changes) {
  state = { ...state, ...changes };
  for (const listener of listeners) listener();
}

/** What stops all that goes on now; once it has, what comes after is stopped by another. */
function stopOfNow() {
  if (stop.signal.aborted) stop = new AbortController();
  return stop.signal;
}

/** Whether files are on their way. */
export const isSending = () => running || state.looking > 0;
const isPicture = (/** @type {string} */ name) => KNOWN.has(/\.([^.]+)$/.exec(name)?.[1].toLowerCase() ?? "");
const isHidden = (/** @type {string} */ name) => name.startsWith(".");

/** Whether a file of a folder is taken. @param {string} path with the folders it lies in */
export const isTaken = (path) => {
  const names = path.split("/");
  return isPicture(names[names.length - 1]) && !names.some(isHidden);
};

/**
 * Hand files over.
 * @param {File[]} files
 * @param {string} [into] a collection, which is made where it is missing
 * @param {(file: File) => string} [folderOf] the folder that a file lies in
 */
export async function send(files, into = "", folderOf = () => "") {
  if (!files.length) return;
  set({
    waiting: [...state.waiting, ...files.map((file) => ({ file, into, folder: folderOf(file) }))],
    total: state.total + files.length,
    bytes: state.bytes + files.reduce((sum, file) => sum + file.size, 0),
  });
  if (!running && !state.problem) await run();
}

/** The first of the waiting that go into one form. @param {Waiting[]} waiting */
function firstForm(waiting) {
  const [{ into, folder }] = waiting;
  let bytes = 0;
  const past = waiting
    .slice(0, FORM_FILES)
    .findIndex(
      (one, i) =>
        one.into !== into || one.folder !== folder || ((bytes += one.file.size) > FORM_BYTES && i > 0),
    );
  return waiting.slice(0, past < 0 ? FORM_FILES : past);
}

async function run() {
  running = true;
  set({ problem: "" });
  while (state.waiting.length) {
    const signal = stopOfNow();
    const form = firstForm(state.waiting);
    const [{ into, folder }] = form;
    set({ into });
    try {
      const { images, refused } = await upload(
        form.map(({ file }) => file),
        { ...(into ? { collection: into } : {}), ...(folder ? { folder } : {}) },
        signal,
      );
      taken(
        form,
        images.filter(({ created }) => created).length,
        images.length,
        refused.map(({ filename, detail }) => ({ name: filename, reason: detail })),
      );
      noteSent();
    } catch (problem) {
      if (signal.aborted) continue; // what waits was handed over since
      if (isAbort(problem)) break;
      if ((await without(form, problem)) || signal.aborted) continue;
      set({ problem: sentence(problem) });
      break;
    }
  }
  running = false;
  set({});
  end();
}

/** @param {Waiting[]} form @param {number} created @param {number} images @param {Refused[]} refused */
function taken(form, created, images, refused) {
  const waiting = state.waiting.filter((one) => !form.includes(one));
  const uncounted = form.length - (state.waiting.length - waiting.length); // stopped, and sent all the same
  set({
    waiting,
    total: state.total + uncounted,
    done: state.done + form.length,
    sentBytes: state.sentBytes + form.reduce((sum, { file }) => sum + file.size, 0),
    added: state.added + created,
    known: state.known + images - created,
    refused: [...state.refused, ...refused].slice(0, MOST_REFUSED),
  });
}

/** Whether a file can be read still. @param {File} file */
const canRead = (file) =>
  file
    .slice(0, 1)
    .arrayBuffer()
    .then(
      () => true,
      () => false,
    );

/** Mend what kept a form from being sent: files that can no longer be read, a collection that is not
 * there. Whether it may be tried again. @param {Waiting[]} form @param {unknown} problem */
async function without(form, problem) {
  if (!(problem instanceof Refusal)) return false;
  const [{ into }] = form;
  if (problem.code === "not_found_error" && into) {
    return post("v1/collections", { name: into }).then(
      () => true,
      () => false,
    );
  }
  if (problem.code) return false;
  const readable = await Promise.all(form.map(({ file }) => canRead(file)));
  if (readable.every(Boolean)) return false; // it is the server that is away
  const lost = form.filter((_, i) => !readable[i]);
  taken(
    lost,
    0,
    0,
    lost.map(({ file }) => ({ name: file.name, reason: UNREADABLE })),
  );
  return true;
}

/** Say what came of it, once all are through. */
function end() {
  if (running || state.waiting.length || state.looking) return;
  if (state.refused.length || state.passed) return; // stays to be read
  const told = state;
  set(nothing());
  if (told.added || told.known) notify(outcome(told));
}

/** What was added, in words. @param {Sending} of */
export function outcome({ added, known, into }) {
  const before = known === 1 ? "1 was there already" : `${known.toLocaleString("en")} were there already`;
  if (!added && !known) return "No picture was added.";
  if (!added && known === 1) return "The picture was there already.";
  if (!added) return `All ${known.toLocaleString("en")} pictures were there already.`;
  const were = added === 1 ? "was" : "were",
    where = into ? ` to “${into}”` : "";
  return `${count(added, "picture")} ${were} added${where}${known ? `; ${before}` : ""}.`;
}

/** Send what could not be sent. */
export const sendAgain = () => {
  if (!running && state.waiting.length) void run();
};

/** Send no more of it; what was sent stays. */
export function stopSending() {
  const { waiting, done, total, looking } = state;
  stop.abort(new DOMException("Stopped.", "AbortError"));
  set({ waiting: [], problem: "", total: done, bytes: state.sentBytes });
  if (waiting.length) notify(`Stopped: ${done.toLocaleString("en")} of ${count(total, "file")} were sent.`);
  else if (looking) notify(`Stopped: ${count(done, "file")} ${done === 1 ? "was" : "were"} sent.`);
  end();
}

/** What was told has been read. */
export const dismiss = () => {
  if (!isSending() && !state.waiting.length) set(nothing());
};

/** Files of a folder that was chosen. @param {File[]} files @param {string} [into] */
export function sendFolder(files, into = "") {
  const pathOf = (/** @type {File} */ file) => file.webkitRelativePath || file.name;
  const found = files
    .filter((file) => isTaken(pathOf(file)))
    .sort((a, b) => byName.compare(pathOf(a), pathOf(b)));
  set({ passed: state.passed + files.length - found.length });
  if (!files.length) notify("The folder is empty.", { bad: true });
  return send(found, into, (file) => pathOf(file).replace(/\/?[^/]*$/, ""));
}

/** @param {FileSystemDirectoryReader} reader @returns {Promise<FileSystemEntry[]>} */
async function entriesOf(reader) {
  /** @type {FileSystemEntry[]} */
  const all = [];
  for (;;) {
    // browsers give a hundred at a time, and nothing at the end
    const some = await new Promise((resolve, reject) => {
      reader.readEntries(resolve, reject);
    });
    if (!some.length) return all.sort((a, b) => byName.compare(a.name, b.name));
    all.push(...some);
  }
}

/** @param {FileSystemFileEntry} entry @returns {Promise<File>} */
const fileOf = (entry) =>
  new Promise((resolve, reject) => {
    entry.file(resolve, reject);
  });

/**
 * Look through a folder and what lies in it, and send each folder's pictures in order.
 * @param {FileSystemDirectoryEntry} folder
 * @param {string} into
 * @param {AbortSignal} signal
 */
async function walk(folder, into, signal) {
  /** @type {File[]} */
  const files = [];
  /** @type {FileSystemDirectoryEntry[]} */
  const folders = [];
  let passed = 0;
  /** @type {Refused[]} */
  const refused = [];
  try {
    for (const entry of await entriesOf(folder.createReader())) {
      if (signal.aborted) return;
      if (isHidden(entry.name)) passed += entry.isFile ? 1 : 0;
      else if (entry.isDirectory) folders.push(/** @type {FileSystemDirectoryEntry} */ (entry));
      else if (!isPicture(entry.name)) passed++;
      else {
        const file = await fileOf(/** @type {FileSystemFileEntry} */ (entry)).catch(() => null);
        if (file) files.push(file);
        else refused.push({ name: entry.name, reason: UNREADABLE });
      }
    }
  } catch {
    refused.push({ name: folder.name, reason: "The folder cannot be read." });
  }
  if (signal.aborted) return;
  set({ passed: state.passed + passed, refused: [...state.refused, ...refused].slice(0, MOST_REFUSED) });
  void send(files, into, () => folder.fullPath);
  for (const one of folders) await walk(one, into, signal);
}

/**
 * Add what was dropped: files as they are, folders with all that is in them.
 * @param {DataTransfer} data
 * @param {string} [into]
 */
export async function sendDropped(data, into = "") {
  // The items are there only as long as the event lasts.
  const dropped = [...data.items]
    .filter(({ kind }) => kind === "file")
    .map((item) => ({ entry: item.webkitGetAsEntry?.() ?? null, file: item.getAsFile() }));
  const folders = dropped.flatMap(({ entry }) =>
    entry?.isDirectory ? [/** @type {FileSystemDirectoryEntry} */ (entry)] : [],
  );
  const files = dropped.flatMap(({ entry, file }) => (file && !entry?.isDirectory ? [file] : []));
  const before = state.total,
    signal = stopOfNow();
  set({ looking: state.looking + 1 });
  void send(files, into);
  for (const folder of folders) await walk(folder, into, signal);
  set({ looking: state.looking - 1 });
  if (!signal.aborted && state.total === before && !state.passed && !state.refused.length) {
    notify("There are no pictures in what was dropped.", { bad: true });
  }
  end();
}

addEventListener("beforeunload", (event) => {
  if (isSending()) event.preventDefault(); // the browser asks whether to leave
});

/** The collections there are, by name. @returns {Promise<string[]>} */
export const collectionNames = () =>
  call("v1/collections").then(
    ({ collections }) => collections.map((/** @type {{name: string}} */ { name }) => name),
    () => [],
  );
