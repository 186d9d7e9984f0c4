// One answer in the grid: a picture with its regions outlined, or a region cut out. File names and
// words are hostile text: htm makes text of them.

import { Component, html } from "../vendor/preact.js";
import { cutout, srcset, thumbnail } from "./api.js";
import { foundLines, sureOf } from "./items.js";
import { regionsAt } from "./masks.js";
import { drawRegions, drawSoon } from "./outline.js";
import { nameOf } from "./sayings.js";
import { changed, link, query } from "./store.js";
import { Icon, IconButton, plainClick } from "./ui.js";

/**
 * @typedef {import("./items.js").Item} Item
 * @typedef {import("./items.js").Region} Region
 *
 * @typedef {object} Act What a card can do; the region is null for a picture as a whole.
 * @property {(item: Item, region: Region | null) => void} open
 * @property {(item: Item, region: Region | null) => void} like
 * @property {(region: Region, right: boolean, item: Item) => void} judge
 * @property {(item: Item, range: boolean) => void} choose
 * @property {() => void} all choose all that is there
 * @property {(index: number) => void} focus
 * @property {(item: Item) => void} copies show the pictures that look almost the same
 * @property {(item: Item) => void} parts show the regions that are folded behind the thing
 *
 * @typedef {object} CardProps
 * @property {Item} item
 * @property {number} index
 * @property {import("./layout.js").Cell} cell
 * @property {boolean} active whether it is the grid's one Tab stop
 * @property {boolean} chosen
 * @property {boolean} choosing whether others are chosen already
 * @property {number} total of the cards, as far as known
 * @property {number} before how many come before the first that is there
 * @property {number | null} right the judgement of its regions: a segment id
 * @property {Act} act
 */

const LONG_PRESS_MS = 420; // before the browser's own menu for a link
const STEADY_PX = 10; // a finger that moves further scrolls
const DENSITY = Math.min(2, globalThis.devicePixelRatio || 1);

/** What of a scene a region is, where one is meant alone, and how sure the answer is.
 * @param {Item} item @param {Region | null} region @param {boolean} alone */
function meant(item, region, alone) {
  const sure = sureOf(item, region, alone);
  return [alone || !sure ? region?.slot : "", sure].filter(Boolean);
}

/** The words in a region that were asked for. @param {Region | null} region */
const wordsIn = (region) => (region ? foundLines([region]) : []).map(({ text }) => text).join(" … ");

/** What an answer is, for who hears it. @param {Item} item @param {Region | null} region
 * @param {boolean} alone */
const told = (item, region, alone) => {
  const words = wordsIn(region);
  return [
    item.alone ? `Region in ${nameOf(item.path)}` : nameOf(item.path),
    ...meant(item, region, alone),
    ...(words ? [`shows “${words}”`] : []),
  ].join(", ");
};

/** Cards whose pictures did not come. @type {Set<Card>} */
const broken = new Set();

/** Ask again for the pictures that did not come, as when the server was away. */
export function askAgain() {
  for (const card of broken) card.setState({ gone: false });
  broken.clear();
}

export class Card extends Component {
  /** @param {CardProps} props */
  constructor(props) {
    super(props);
    /** @type {{alone: number, gone: boolean, met: boolean}} `alone` is the region that is shown by
     * itself; -1 for all. `met`: the pointer, or the focus, was there: what can be done with it is made */
    this.state = { alone: -1, gone: false, met: false };
    this.meet = () => {
      if (!this.state.met) this.setState({ met: true });
    };
    /** @type {HTMLCanvasElement | null} */
    this.canvas = null;
    this.drawn = "";
    this.keepCanvas = (/** @type {HTMLCanvasElement | null} */ canvas) => {
      this.canvas = canvas;
      this.drawn = ""; // a new canvas is empty
    };
    /** @type {{x: number, y: number, timer: ReturnType<typeof setTimeout>} | null} */
    this.pressed = null;
    this.held = false; // whether the finger that is down has chosen the card
  }

  /** A finger that stays down chooses: there is no mouse to hover with. @param {PointerEvent} event */
  press(event) {
    this.release();
    this.held = false;
    if (event.pointerType !== "touch" || !event.isPrimary) return;
    const timer = setTimeout(() => {
      this.held = true;
      this.props.act.choose(this.props.item, false);
    }, LONG_PRESS_MS);
    this.pressed = { x: event.clientX, y: event.clientY, timer };
  }

  release() {
    if (this.pressed) clearTimeout(this.pressed.timer);
    this.pressed = null;
  }

  /** @param {CardProps} next @param {any} state */
  shouldComponentUpdate(next, state) {
    const { cell } = next,
      was = this.props.cell;
    return (
      state !== this.state ||
      next.item !== this.props.item ||
      next.active !== this.props.active ||
      next.chosen !== this.props.chosen ||
      next.choosing !== this.props.choosing ||
      next.total !== this.props.total ||
      next.before !== this.props.before ||
      next.index !== this.props.index ||
      next.right !== this.props.right ||
      cell.x !== was.x ||
      cell.y !== was.y ||
      cell.width !== was.width ||
      cell.height !== was.height
    );
  }

  componentDidMount() {
    this.draw();
  }

  /** @param {CardProps} was */
  componentDidUpdate(was) {
    if (was.item !== this.props.item && this.state.alone >= 0) this.setState({ alone: -1 });
    this.draw();
  }

  componentWillUnmount() {
    this.release();
    broken.delete(this);
  }

  /** The region that is meant: the one that is shown alone, else the best. @returns {Region | null} */
  get region() {
    const { regions } = this.props.item;
    return regions[this.state.alone] ?? regions[0] ?? null;
  }

  draw() {
    const { item, cell } = this.props,
      { canvas } = this;
    if (!canvas) return;
    const { width, height } = this.drawnSize();
    const ids = item.regions.map((/** @type {Region} */ region) => region.segment_id).join();
    const alone = item.regions[this.state.alone];
    const shown = alone ? [alone] : item.regions,
      words = foundLines(shown);
    const key = `${ids} ${width} ${height} ${this.state.alone} ${words.map(({ position }) => position)}`;
    if (key === this.drawn) return;
    this.drawn = key;
    const line = Math.max(1.5, Math.max(cell.width, cell.height) / 130) * DENSITY;
    const how = { width, height, line, dim: !item.alone, words, box: this.box };
    drawSoon(canvas, () => drawRegions(canvas, item.alone ? [] : shown, how));
  }

  /** What of the picture is shown: x0, y0, x1, y1 in its pixels. */
  get box() {
    const { alone, regions, width, height } = this.props.item;
    return alone ? regions[0].box : [0, 0, width || 4, height || 3];
  }

  /** The size of that in the cell, in canvas pixels. */
  drawnSize() {
    const { cell } = this.props,
      [x0, y0, x1, y1] = this.box;
    const scale = Math.min(cell.width / (x1 - x0), cell.height / (y1 - y0)) * DENSITY;
    return { width: Math.round((x1 - x0) * scale), height: Math.round((y1 - y0) * scale) };
  }

  /** Show the smallest region under the pointer by itself. @param {PointerEvent} event */
  hover(event) {
    const { regions } = this.props.item,
      { pressed } = this;
    if (pressed && Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) > STEADY_PX)
      this.release();
    if (event.pointerType === "touch" || this.props.item.alone || regions.length < 2) return;
    const frame = /** @type {HTMLElement} */ (event.currentTarget).getBoundingClientRect();
    const { width, height } = this.props.item;
    const under = regionsAt(
      regions,
      (width * (event.clientX - frame.left)) / frame.width,
      (height * (event.clientY - frame.top)) / frame.height,
    );
    this.showAlone(under.length ? regions.indexOf(under[0]) : -1);
  }

  /** @param {number} alone */
  showAlone(alone) {
    if (alone !== this.state.alone) this.setState({ alone });
  }

  /** Walk through the regions: 1 for the next, -1 for the one before. @param {number} step */
  walk(step) {
    const { length } = this.props.item.regions;
    if (length) this.showAlone((this.state.alone + step + length) % length);
  }

  /** @param {KeyboardEvent} event */
  keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { act, item } = this.props,
      { region } = this;
    /** @type {Record<string, () => void>} */
    const acts = {
      " ": () => act.choose(item, event.shiftKey),
      f: () => act.like(item, region),
      "]": () => this.walk(1),
      "[": () => this.walk(-1),
      "+": () => region && act.judge(region, true, item),
      "-": () => region && act.judge(region, false, item),
    };
    const found = acts[event.key];
    if (!found) return;
    event.preventDefault();
    event.stopPropagation();
    found();
  }

  /** @param {CardProps} props */
  render({ item, index, cell, active, chosen, choosing, total, before, right, act }) {
    const { region } = this,
      name = nameOf(item.path);
    const href = link(changed({ ...query(), image: item.image, segment: region?.segment_id ?? 0 }));
    const style = `left:${cell.x}px;top:${cell.y}px;width:${cell.width}px;height:${cell.height}px`;
    const open = (/** @type {MouseEvent} */ event) => {
      if (this.held && event.detail)
        event.preventDefault(); // the end of a long press
      else if (event.shiftKey || (choosing && plainClick(event))) {
        event.preventDefault();
        act.choose(item, event.shiftKey);
      } else if (plainClick(event)) {
        event.preventDefault();
        act.open(item, region);
      }
    };
    return html`<li class=${`card${chosen ? " chosen" : ""}${item.alone ? " alone" : ""}${this.state.gone ? " gone" : ""}`}
        data-card=${item.key} data-image=${item.image} data-segment=${region?.segment_id} style=${style}
        aria-setsize=${total} aria-posinset=${before + index + 1}
        onPointerDown=${(/** @type {PointerEvent} */ event) => this.press(event)}
        onPointerUp=${() => this.release()} onPointerCancel=${() => this.release()}
        onContextMenu=${(/** @type {Event} */ event) => {
          if (this.held) event.preventDefault();
        }}
        onPointerEnter=${this.meet} onPointerMove=${(/** @type {PointerEvent} */ event) => this.hover(event)}
        onPointerLeave=${() => this.showAlone(-1)}>
      <a class="look" href=${href} tabindex=${active ? 0 : -1} aria-label=${told(item, region, this.state.alone >= 0)}
        onClick=${open} onFocus=${() => {
          this.meet();
          act.focus(index);
        }} onBlur=${() => this.showAlone(-1)}
        onKeyDown=${(/** @type {KeyboardEvent} */ event) => this.keys(event)}>
        ${this.picture(item, cell)}
      </a>
      <button type="button" class="choose" tabindex="-1" aria-pressed=${String(chosen)} aria-label=${`Select ${name}`}
        title="Select (Space)" onClick=${(/** @type {MouseEvent} */ event) => act.choose(item, event.shiftKey)}>
        <${Icon} name="check" /></button>
      ${this.strip(item, region, right, act)}
    </li>`;
  }

  /** @param {Item} item @param {import("./layout.js").Cell} cell */
  picture(item, cell) {
    if (this.state.gone) return null;
    const lost = () => {
      broken.add(this);
      this.setState({ gone: true });
    };
    if (item.alone) {
      const side = Math.ceil((Math.max(cell.width, cell.height) * DENSITY) / 160) * 160;
      return html`<img class="cut" alt="" decoding="async" draggable=${false} src=${cutout(item.regions[0].segment_id, side)} onError=${lost} />
        ${wordsIn(item.regions[0]) ? html`<canvas class="cut" aria-hidden="true" ref=${this.keepCanvas}></canvas>` : null}`;
    }
    return html`<img alt="" decoding="async" draggable=${false} sizes=${`${Math.ceil(cell.width)}px`}
        srcset=${srcset(item.image, item.width, item.height, item.at)} src=${thumbnail(item.image, 320, item.at)} onError=${lost} />
      ${item.regions.length ? html`<canvas aria-hidden="true" ref=${this.keepCanvas}></canvas>` : null}`;
  }

  /** @param {Item} item @param {Region | null} region @param {number | null} right @param {Act} act */
  strip(item, region, right, act) {
    const name = nameOf(item.path),
      sure = meant(item, region, this.state.alone >= 0).join(", "),
      words = wordsIn(region);
    const others = item.regions.length - 1;
    const { near_duplicates: copies = 0, parts = 0 } = item.regions[0]?.folded ?? {};
    return html`<div class="strip">
      <span class="told">
        ${sure ? html`<b>${sure}</b>` : null}
        ${words ? html`<q dir="auto">${words}</q>` : null}
        <span class="file">${name}</span>
        ${others > 0 && this.state.alone < 0 ? html`<span class="others">+ ${others} more</span>` : null}
        ${others > 0 && this.state.alone >= 0 ? html`<span class="others">${this.state.alone + 1} of ${others + 1}</span>` : null}
        ${
          parts
            ? html`<button type="button" class="folded" tabindex="-1" title="Show the parts of it, and what holds it"
          onClick=${() => act.parts(item)}>${parts} part${parts === 1 ? "" : "s"}</button>`
            : null
        }
        ${
          copies
            ? html`<button type="button" class="folded" tabindex="-1" title="Show the pictures that look almost the same"
          onClick=${() => act.copies(item)}>${copies} alike</button>`
            : null
        }
      </span>
      ${this.state.met || right !== null ? this.acts(item, region, right, act) : null}
    </div>`;
  }

  /** What can be done with it. @param {Item} item @param {Region | null} region
   * @param {number | null} right @param {Act} act */
  acts(item, region, right, act) {
    return html`<span class="acts">
        <${IconButton} icon="like" label="Find its like (f)" tab=${-1} onClick=${() => act.like(item, region)} />
        ${
          region && region.score !== undefined && !region.slot
            ? html`
          <${IconButton} icon="up" label="Right: find more such (+)" tab=${-1} pressed=${right === region.segment_id}
            onClick=${() => act.judge(region, true, item)} />
          <${IconButton} icon="down" label="Wrong: leave it out (-)" tab=${-1}
            onClick=${() => act.judge(region, false, item)} />`
            : null
        }
      </span>`;
  }
}
