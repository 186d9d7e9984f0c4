// Starts the page: one query from the address, and the view that shows it.

import { Component, html, render, useEffect, useRef, useState } from "../vendor/preact.js";
import { asks, filtered } from "./address.js";
import { Answers } from "./answers.js";
import { call, onLockedOut, setLibrary } from "./api.js";
import { askAgain } from "./card.js";
import { forgetFacets } from "./facets.js";
import { Header, takePictures } from "./header.js";
import { askAnew, forget } from "./results.js";
import { SelectionBar } from "./arranging.js";
import { clearChosen } from "./selection.js";
import { closePicture, oddities, query, useQuery } from "./store.js";
import { onReturn } from "./jobs.js";
import { AddMenu, addAll, followJobs, Working } from "./ingest.js";
import { isTyping, notify, Notices } from "./ui.js";

const SESSION_PAUSE_MS = 4000;

history.scrollRestoration = "manual"; // the grid scrolls where the address says, once it is laid out

/** A view that is fetched when it is first shown. */
class Later extends Component {
  /** @param {{load: () => Promise<any>, name: string}} props */
  constructor(props) {
    super(props);
    this.state = { view: null, problem: "" };
    this.fetch(props);
  }

  /** @param {any} props */
  fetch(props) {
    props.load().then(
      (/** @type {any} */ module) => this.setState({ view: module[props.name] }),
      () => this.setState({ problem: "The server does not answer. Is segsearch still running?" }),
    );
  }

  /** @param {any} props @param {any} state */
  render(props, { view, problem }) {
    const again = () => {
      this.setState({ problem: "" });
      this.fetch(props);
    };
    if (problem)
      return html`<div class="lost"><p id="message" class="bad" role="status">${problem}</p>
        <button type="button" onClick=${again}>Try again</button></div>`;
    return view ? html`<${view} ...${props} />` : html`<p class="loading">…</p>`;
  }
}

const VIEWS = {
  map: { load: () => import("./map.js"), name: "MapView" },
  status: { load: () => import("./status.js"), name: "StatusView" },
  library: { load: () => import("./library.js"), name: "Library" },
  picture: { load: () => import("./picture.js"), name: "PictureView" },
  keys: { load: () => import("./keys.js"), name: "KeyForm" },
  help: { load: () => import("./help.js"), name: "Help" },
};

/**
 * What each view is, for who hears it.
 * @type {Record<string, (now: import("./address.js").Query) => string>}
 */
const HEADINGS = {
  grid: (now) =>
    now.words.trim() ? `Pictures of ${now.words.trim()}` : asks(now) ? "Answers" : "The library",
  map: () => "The map of all regions",
  status: () => "How the library stands",
};

/**
 * @typedef {{needs_key: boolean, scope: "read" | "write" | "admin" | null, key: string | null,
 *   library: string | null}} Session
 */

function App() {
  const now = useQuery();
  const [session, setSession] = useState(/** @type {Session | null} */ (null));
  const [, changed] = useState({});
  const [help, setHelp] = useState(false);
  const shown = useRef(/** @type {string | null} */ (null)); // the library's mark
  const ask = () =>
    call("v1/session").then(
      (/** @type {Session} */ found) => {
        setLibrary(found.library);
        if (shown.current && shown.current !== found.library) clearChosen(); // ids of another library
        shown.current = found.library ?? shown.current;
        setSession(found);
      },
      () => {
        setSession((was) => was ?? { needs_key: false, scope: "read", key: null, library: null });
        setTimeout(() => void ask(), SESSION_PAUSE_MS); // a server that fails now may answer later
      },
    );
  useEffect(() => {
    void ask();
    onLockedOut(() => void ask());
    const keys = (/** @type {KeyboardEvent} */ event) => {
      if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "/") {
        event.preventDefault();
        document.getElementById("words")?.focus();
      } else if (event.key === "?") setHelp(true);
      else if (event.key === "Escape" && !query().image) clearChosen();
      else if (event.key === "Escape" && !document.getElementById("picture")) closePicture(); // it never came
    };
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, []);
  const locked = session?.needs_key && session.scope === null;
  const mayWrite = session?.scope === "write" || session?.scope === "admin";
  useEffect(() => {
    if (!session || locked) return undefined;
    const take = takePictures(
      mayWrite ? addAll : () => notify("This key may not add pictures.", { bad: true }),
    );
    const follow = followJobs(() => {
      // what is shown follows what is indexed
      forgetFacets();
      forget();
      askAgain();
      changed({});
    });
    const back = onReturn(() => void ask()); // another library may be served there now
    return () => {
      take();
      follow();
      back();
    };
  }, [session?.scope]);
  const opened = useRef(0); // the picture that was open last
  useEffect(() => {
    const image = opened.current;
    opened.current = now.image;
    if (now.image || !image) return;
    // Closed before its view had come, nobody else gives the focus back.
    requestAnimationFrame(() => {
      const card = document.querySelector(`#results [data-image="${image}"] .look`);
      if (document.activeElement === document.body && card instanceof HTMLElement)
        card.focus({ preventScroll: true });
    });
  }, [now.image]);
  const words = now.words.trim();
  document.title = words ? `${words} · segsearch` : "segsearch";
  if (!session) return html`<p class="loading">…</p>`;
  if (locked) return html`<${Later} ...${VIEWS.keys} onDone=${ask} /><${Notices} />`;
  const view = now.view === "grid" ? (asks(now) || filtered(now) ? null : VIEWS.library) : VIEWS[now.view];
  return html`
    <div id="page" inert=${now.image > 0}>
      <${Header} query=${now} mayWrite=${mayWrite} onHelp=${() => setHelp(true)} adding=${html`<${AddMenu} />`} working=${html`<${Working} mayWrite=${mayWrite} />`} />
      <main>
        <h1 class="visually-hidden">${HEADINGS[now.view](now)}</h1>
        ${oddities().map((odd) => html`<p class="odd" key=${odd} role="status">${odd}</p>`)}
        ${
          view
            ? html`<${Later} key=${view.name} ...${view} now=${now} session=${session} mayWrite=${mayWrite} onSession=${ask} />`
            : html`<${Answers} now=${now} />`
        }
      </main>
      <footer><a href="docs">HTTP API</a></footer>
      ${view === null || (view === VIEWS.library && now.shelf === "time") ? html`<${SelectionBar} mayWrite=${mayWrite} />` : null}
    </div>
    ${now.image ? html`<${Later} key="picture" ...${VIEWS.picture} now=${now} mayWrite=${mayWrite} />` : null}
    ${help ? html`<${Later} key="help" ...${VIEWS.help} onClose=${() => setHelp(false)} />` : null}
    <${Notices} />`;
}

// What a first click needs is there before it comes.
(globalThis.requestIdleCallback ?? setTimeout)(() => void VIEWS.picture.load().catch(() => {}));

// What did not come while the server was away comes now.
onReturn(() => {
  askAgain();
  askAnew();
});

render(html`<${App} />`, /** @type {HTMLElement} */ (document.getElementById("app")));
