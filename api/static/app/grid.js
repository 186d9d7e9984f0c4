// The grid of answers: rows of one height over the window's width. Only what is near the window is in
// the document, so a thousand cards scroll as smoothly as ten.

import { Component, html } from "../vendor/preact.js";
import { question } from "./address.js";
import { Card } from "./card.js";
import { between, justify, ratio, rowHeight } from "./layout.js";
import { change, noteAt } from "./store.js";

/**
 * @typedef {import("./items.js").Item} Item
 * @typedef {import("./results.js").Results} Results
 *
 * @typedef {object} GridProps
 * @property {Results} results
 * @property {number} shown how many of the items are shown: what is doubtful may stay folded
 * @property {number} at the item that stands at the top first
 * @property {import("./card.js").Act} act
 * @property {(key: string) => boolean} isChosen
 * @property {boolean} choosing
 * @property {Set<number>} right segments that were said to be right
 * @property {boolean} waiting whether another list is on its way
 * @property {boolean} still whether something lies above the grid and has the keys
 */

const GAP_PX = 6,
  NARROW_GAP_PX = 4;
const AHEAD = 1; // windows of rows above and below that are in the document
const MORE_AHEAD = 3; // windows before the end at which more is fetched

/** The ratio of a cell. @param {Item} item */
function ratioOf(item) {
  if (!item.alone) return ratio(item.width, item.height);
  const [x0, y0, x1, y1] = item.regions[0].box;
  return Math.min(2, Math.max(0.6, (x1 - x0) / (y1 - y0)));
}

export class Grid extends Component {
  /** @param {GridProps} props */
  constructor(props) {
    super(props);
    this.state = { width: 0, first: 0, end: 0, active: Math.max(0, props.at - props.results.start) };
    /** @type {HTMLElement | null} */
    this.root = null;
    /** @type {import("./layout.js").Layout} */
    this.layout = { rows: [], height: 0, rowOf: new Int32Array() };
    /** @type {{width: number, shown: number, items: Item[]}} */
    this.laidOut = { width: 0, shown: 0, items: [] }; // what the layout is of
    this.start = props.results.start; // of the items that are laid out
    /** @type {{item: Item, y: number} | null} */
    this.pinned = null; // what stays where it is in the window while others come above it
    this.frame = 0;
    this.wanted = props.at; // the place in the list to scroll to once it is there; -1 for none
    this.focusing = -1;
    this.onScroll = () => {
      this.frame ||= requestAnimationFrame(() => this.look());
    };
  }

  componentDidMount() {
    addEventListener("scroll", this.onScroll, { passive: true });
    addEventListener("resize", this.onScroll);
    this.observer = new ResizeObserver(([{ contentRect }]) => {
      if (Math.abs(contentRect.width - this.state.width) < 1) return;
      const top = this.topItem();
      this.setState({ width: contentRect.width }, () => {
        if (this.state.width && top > 0) this.scrollTo(top);
        this.look();
      });
    });
    if (this.root) this.observer.observe(this.root);
    this.unhear = this.hear(this.props.results);
    this.settle();
  }

  /** Whether the focus is in the grid, before its cards change. */
  getSnapshotBeforeUpdate() {
    return Boolean(this.root?.contains(document.activeElement));
  }

  /** @param {GridProps} before @param {any} _state @param {boolean} focused */
  componentDidUpdate(before, _state, focused) {
    if (before.results !== this.props.results) this.begin(focused, before.results);
    this.unpin();
    this.settle();
    if (this.focusing >= 0) {
      const place = this.props.results.start + this.focusing + 1;
      const card = this.root?.querySelector(`[aria-posinset="${place}"] .look`);
      if (card instanceof HTMLElement) {
        this.focusing = -1;
        card.focus({ preventScroll: true });
      }
    }
  }

  /** Show another list from its place on; the focus stays on its card, or on the one in its place.
   * @param {boolean} focused @param {Results} before */
  begin(focused, before) {
    this.unhear?.();
    this.unhear = this.hear(this.props.results);
    const { start } = this.props.results;
    // The same question, asked anew since the library has changed: nothing moves.
    const same = question(before.query) === question(this.props.results.query);
    if (!same || before.start !== start) {
      this.wanted = this.props.at;
      scrollTo({ top: 0 });
    }
    const last = Math.min(this.props.results.items.length, this.props.shown) - 1;
    const kept = this.root?.contains(document.activeElement)
      ? document.activeElement?.closest("[aria-posinset]")
      : null;
    if (kept) this.setState({ active: Number(kept.getAttribute("aria-posinset")) - 1 - start });
    else {
      const active = Math.max(0, focused ? Math.min(this.state.active, last) : this.props.at - start);
      if (focused && last >= 0) this.focusing = active;
      this.setState({ active });
    }
  }

  componentWillUnmount() {
    removeEventListener("scroll", this.onScroll);
    removeEventListener("resize", this.onScroll);
    cancelAnimationFrame(this.frame);
    this.observer?.disconnect();
    this.unhear?.();
  }

  /** @param {Results} results */
  hear(results) {
    const listener = () => this.setState({});
    results.listeners.add(listener);
    return () => void results.listeners.delete(listener);
  }

  /** Lay the items out anew where something has changed. */
  arrange() {
    const { results, shown } = this.props,
      { width } = this.state;
    const laidOut = { width, shown, items: results.items }; // another list is another array
    if (width === this.laidOut.width && shown === this.laidOut.shown && results.items === this.laidOut.items)
      return;
    const come = results.start < this.start ? results.items.indexOf(this.laidOut.items[0]) : 0;
    if (come > 0) this.pin();
    this.start = results.start;
    this.laidOut = laidOut;
    const cells = results.items
      .slice(0, shown)
      .map((/** @type {Item} */ item) => ({ ratio: ratioOf(item), heading: item.heading }));
    const gap = width < 700 ? NARROW_GAP_PX : GAP_PX;
    this.layout = width
      ? justify(cells, { width, target: rowHeight(width), gap })
      : { rows: [], height: 0, rowOf: new Int32Array() };
    if (come > 0 && this.pinned) {
      const { rows, rowOf } = this.layout,
        moved = rows[rowOf[results.items.indexOf(this.pinned.item)]].y - this.pinned.y;
      const offset = scrollY + moved - this.top();
      const [first, end] = between(rows, offset - AHEAD * innerHeight, offset + (1 + AHEAD) * innerHeight);
      Object.assign(this.state, { first, end, active: this.state.active + come });
    }
  }

  /** Note what stands at the top of the window, before others come above it. */
  pin() {
    const index = this.topItem(),
      item = this.laidOut.items[index];
    if (item) this.pinned = { item, y: this.layout.rows[this.layout.rowOf[index]].y };
  }

  /** Keep what is seen where it was, after others have come above it. */
  unpin() {
    if (!this.pinned) return;
    const { item, y } = this.pinned;
    this.pinned = null;
    const row = this.layout.rows[this.layout.rowOf[this.props.results.items.indexOf(item)]];
    if (row) scrollBy({ top: row.y - y });
  }

  /** Go to the item that was asked for, fetching up to it, and fetch what the window needs. */
  settle() {
    const { results, shown } = this.props;
    if (this.wanted > 0 && this.state.width) {
      const index = this.wanted - results.start;
      if (index < Math.min(results.items.length, shown)) {
        this.wanted = -1;
        this.scrollTo(Math.max(0, index));
      } else if (!results.open)
        this.wanted = -1; // it ends before, or "probably not" begins
      else results.more(index + 40);
    }
    this.frame ||= requestAnimationFrame(() => this.look());
  }

  /** The top of the grid in the document. */
  top() {
    return this.root ? this.root.getBoundingClientRect().top + scrollY : 0;
  }

  /** @param {number} index */
  scrollTo(index) {
    this.arrange();
    const row = this.layout.rows[this.layout.rowOf[index]];
    if (row) scrollTo({ top: this.top() + row.y - this.bar() - 8 });
  }

  /** How much of the window's top the search bar covers. */
  bar() {
    const bar = document.getElementById("bar");
    return bar && getComputedStyle(bar).position === "sticky" ? bar.offsetHeight : 0;
  }

  /** How much of the window's end the bar of what is selected covers. */
  below() {
    return document.getElementById("selection")?.offsetHeight ?? 0;
  }

  /** The first item in the window. */
  topItem() {
    const { rows } = this.layout,
      [first] = between(rows, scrollY + this.bar() - this.top() + 12, Infinity);
    for (const row of rows.slice(first)) if (row.cells.length) return row.cells[0].index;
    return 0;
  }

  /** See which rows are near the window, note where it is, and fetch more where it nears the end. */
  look() {
    this.frame = 0;
    if (!this.root) return;
    const { results } = this.props,
      offset = scrollY - this.top();
    const [first, end] = between(
      this.layout.rows,
      offset - AHEAD * innerHeight,
      offset + (1 + AHEAD) * innerHeight,
    );
    if (first !== this.state.first || end !== this.state.end) this.setState({ first, end });
    if (this.props.still || this.props.waiting || this.wanted > 0) return; // it goes elsewhere
    if (results.items.length)
      noteAt(offset + this.bar() > 4 ? results.start + this.topItem() : results.start);
    const left = this.layout.height - offset - innerHeight;
    if (results.open && !results.loading && left < MORE_AHEAD * innerHeight) results.more();
    else if (results.start && !results.loading && offset < MORE_AHEAD * innerHeight) results.earlier();
  }

  /** Make an item the one that has the focus, and bring it into the window. @param {number} index */
  focusItem(index) {
    const last = Math.min(this.props.results.items.length, this.props.shown) - 1;
    const active = Math.max(0, Math.min(last, index));
    const row = this.layout.rows[this.layout.rowOf[active]];
    if (!row) return;
    const top = this.top() + row.y,
      bottom = top + row.height,
      covered = this.bar() + 8,
      under = this.below() + 8;
    if (top < scrollY + covered) scrollTo({ top: top - covered });
    else if (bottom > scrollY + innerHeight - under) scrollTo({ top: bottom - innerHeight + under });
    this.focusing = active;
    this.look();
    this.setState({ active });
  }

  /**
   * The item above or below another: the one whose middle is nearest.
   * @param {number} index
   * @param {number} step
   */
  beside(index, step) {
    const { rows, rowOf } = this.layout;
    const from = rows[rowOf[index]]?.cells.find((cell) => cell.index === index);
    let at = rowOf[index] + step;
    while (rows[at] && !rows[at].cells.length) at += step;
    if (!from || !rows[at]) return index;
    const middle = from.x + from.width / 2;
    return rows[at].cells.reduce((best, cell) =>
      Math.abs(cell.x + cell.width / 2 - middle) < Math.abs(best.x + best.width / 2 - middle) ? cell : best,
    ).index;
  }

  /** @param {KeyboardEvent} event */
  keys(event) {
    if ((event.ctrlKey || event.metaKey) && event.key === "a") {
      event.preventDefault();
      return this.props.act.all();
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return undefined;
    const { active } = this.state;
    const perWindow = Math.max(1, Math.floor(innerHeight / rowHeight(this.state.width)) - 1);
    const page = (/** @type {number} */ step) => {
      let index = active;
      for (let i = 0; i < perWindow; i++) index = this.beside(index, step);
      return index;
    };
    /** @type {Record<string, () => number>} */
    const moves = {
      ArrowRight: () => active + 1,
      ArrowLeft: () => active - 1,
      ArrowDown: () => this.beside(active, 1),
      ArrowUp: () => this.beside(active, -1),
      PageDown: () => page(1),
      PageUp: () => page(-1),
      Home: () => 0,
      End: () => this.props.results.items.length - 1,
    };
    const move = moves[event.key];
    if (!move) return undefined;
    event.preventDefault();
    if (event.key === "Home" && this.props.results.start) {
      this.setState({ active: 0 }); // which has the focus once the beginning is there
      return change({ at: 0 });
    }
    return this.focusItem(move());
  }

  /** @param {GridProps} props */
  render({ results, shown, act, isChosen, choosing, right, waiting }) {
    this.arrange();
    const { first, end, active } = this.state; // which that may have changed
    const { rows, height } = this.layout,
      items = results.items;
    const count = Math.min(items.length, shown);
    const total = results.total ?? (results.done ? count : -1);
    const near = rows.slice(first, end);
    const activeRow = rows[this.layout.rowOf[Math.min(active, count - 1)]];
    // The card with the focus stays, however far it is scrolled away.
    const drawn = activeRow && !near.includes(activeRow) ? [...near, activeRow] : near;
    const acts = {
      ...act,
      focus: (/** @type {number} */ index) => {
        if (index !== active) this.setState({ active: index });
      },
    };
    return html`<ul id="results" aria-label="Results" aria-busy=${String(results.loading || waiting)} class=${waiting ? "waiting" : ""} style=${`height:${height}px`}
        ref=${(/** @type {HTMLElement | null} */ node) => {
          this.root = node;
        }}
        onKeyDown=${(/** @type {KeyboardEvent} */ event) => this.keys(event)}>
      ${drawn.map((row) =>
        row.heading !== undefined
          ? html`<li class="heading" key=${`h${row.y}`} style=${`top:${row.y}px`}><h2>${row.heading}</h2></li>`
          : row.cells.map(
              (
                cell,
              ) => html`<${Card} key=${items[cell.index].key} item=${items[cell.index]} index=${cell.index}
            cell=${cell} active=${cell.index === Math.min(active, count - 1)} chosen=${isChosen(items[cell.index].key)}
            choosing=${choosing} total=${total} before=${results.start} act=${acts}
            right=${items[cell.index].regions.find((region) => right.has(region.segment_id))?.segment_id ?? null} />`,
            ),
      )}
    </ul>`;
  }
}
