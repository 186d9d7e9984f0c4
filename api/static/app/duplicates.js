// Pictures that look almost the same, side by side: which of them is kept is a person's choice.

import { Component, html } from "../vendor/preact.js";
import { removeImages } from "./arranging.js";
import { call, sentence, thumbnail } from "./api.js";
import { isLeaving, listenLeaving } from "./results.js";
import { count, nameOf, size } from "./sayings.js";
import { Problem } from "./shelves.js";
import { query } from "./store.js";
import { Go, Icon } from "./ui.js";

/**
 * @typedef {object} Picture
 * @property {number} image_id
 * @property {number} width
 * @property {number} height
 * @property {string[]} paths
 * @property {number | null} size_bytes
 * @property {string} format
 */

const PAGE = 20; // groups
const AHEAD = "1200px"; // how near the end the next page is asked for

/** The folder of a path, which may be broken after each of its parts. @param {string | undefined} path */
const folderOf = (path = "") =>
  path
    .split(/(?<=[\\/])/)
    .slice(0, -1)
    .map((part) => html`${part}<wbr />`);

/** @param {{image: Picture, largest: boolean, mayWrite: boolean}} props */
function Copy({ image, largest, mayWrite }) {
  const {
    image_id: id,
    width,
    height,
    paths: [path],
    size_bytes: bytes,
    format,
  } = image;
  const name = nameOf(path);
  return html`<li class="copy" data-image=${id}>
    <${Go} to=${{ ...query(), image: id, segment: 0 }} aria-label=${`Open ${name}`}>
      <img alt="" loading="lazy" decoding="async" width=${width} height=${height}
        src=${thumbnail(id, 480)} /><//>
    <p class="title">${name}</p>
    <p>${width.toLocaleString("en")} × ${height.toLocaleString("en")} px
      ${largest ? html` <span class="largest">largest</span>` : null}</p>
    <p class="quiet">${[bytes ? size(bytes) : "", format].filter(Boolean).join(", ")}</p>
    <p class="quiet folder" title=${path}>${folderOf(path)}</p>
    ${
      mayWrite
        ? html`<button type="button" aria-label=${`Remove ${name}`}
      onClick=${() => removeImages([id])}><${Icon} name="bin" />Remove</button>`
        : null
    }
  </li>`;
}

/** @param {{images: Picture[], mayWrite: boolean}} props the largest first */
function Alike({ images, mayWrite }) {
  const [first, second, ...rest] = images;
  const largest = first.width * first.height > second.width * second.height;
  const keep = () => removeImages([second, ...rest].map((image) => image.image_id));
  return html`<li class="alike-group">
    <div class="above"><h2>${count(images.length, "picture")}</h2>
      ${
        mayWrite
          ? html`<button type="button" onClick=${keep}>
        Keep the ${largest ? "largest" : "first"}</button>`
          : null
      }
    </div>
    <ul class="copies-row">${images.map(
      (image) => html`<${Copy} key=${image.image_id} image=${image}
      largest=${largest && image === first} mayWrite=${mayWrite} />`,
    )}</ul>
  </li>`;
}

/** @typedef {{groups: Picture[][], after: number | null, loading: boolean, problem: string}} State */

export class Duplicates extends Component {
  /** @param {{mayWrite: boolean}} props */
  constructor(props) {
    super(props);
    /** @type {State} */
    this.state = { groups: [], after: 0, loading: false, problem: "" };
    /** @type {HTMLElement | null} */
    this.end = null;
    this.near = false; // whether the end is near the window
  }

  componentDidMount() {
    this.unhear = listenLeaving(() => this.setState({}));
    this.observer = new IntersectionObserver(
      (entries) => {
        this.near = entries[entries.length - 1].isIntersecting;
        if (this.near) void this.more();
      },
      { rootMargin: AHEAD },
    );
    if (this.end) this.observer.observe(this.end);
  }

  componentWillUnmount() {
    this.unhear?.();
    this.observer?.disconnect();
    this.near = false;
  }

  /** Draw what has come, and wait until the observer has seen whether the end is still near.
   * @param {Picture[][]} groups @param {number | null} after */
  drawn(groups, after) {
    return new Promise((resolve) => {
      const add = (/** @type {State} */ state) => ({ groups: [...state.groups, ...groups], after });
      this.setState(add, () => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    });
  }

  /** Fetch pages until the window is full: a page may hold no group at all. */
  async more() {
    if (this.state.loading) return;
    this.setState({ loading: true, problem: "" });
    let problem = "",
      { after } = this.state;
    while (this.near && after !== null && !problem) {
      try {
        const page = await call(`v1/duplicates?after=${after}&limit=${PAGE}`);
        after = page.next_after;
        await this.drawn(
          page.groups.map((/** @type {{images: Picture[]}} */ { images }) => images),
          after,
        );
      } catch (reason) {
        problem = sentence(reason);
      }
    }
    this.setState({ loading: false, problem });
  }

  /** @param {{mayWrite: boolean}} props @param {any} state */
  render({ mayWrite }, state) {
    const { groups, after, loading, problem } = /** @type {State} */ (state);
    const shown = groups
      .map((images) => images.filter(({ image_id: id }) => !isLeaving(id)))
      .filter((images) => images.length > 1);
    const many = `${after === null ? "" : "More than "}${count(shown.length, "group")}`;
    return html`
      ${problem ? html`<${Problem} problem=${problem} again=${() => this.more()} />` : null}
      ${
        shown.length
          ? html`<div class="above">
          <p id="message" role="status">${many} of pictures that look almost the same</p></div>`
          : after === null
            ? html`<div class="empty"><h2>No duplicates</h2>
          <p>No two pictures look almost the same.</p></div>`
            : null
      }
      <ul class="plain">${shown.map(
        (images) => html`<${Alike} key=${images[0].image_id} images=${images}
        mayWrite=${mayWrite} />`,
      )}</ul>
      ${loading ? html`<p class="loading">…</p>` : null}
      <div class="end" ref=${(/** @type {HTMLElement | null} */ node) => {
        this.end = node;
      }}></div>`;
  }
}
