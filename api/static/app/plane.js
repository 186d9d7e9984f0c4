// The map's plane: points under a pan and a zoom, what the pointer means, and the lasso.

import { Component, createRef, html } from "../vendor/preact.js";
import { asks, question } from "./address.js";
import { call, cutout, sentence } from "./api.js";
import { resultsOf } from "./results.js";
import { Nearest, Points } from "./points.js";
import { wordsOf } from "./sayings.js";
import { go, groupOf, openPicture, query } from "./store.js";
import { notify } from "./ui.js";

/**
 * @typedef {import("./address.js").Query} Query
 *
 * @typedef {object} PlaneProps
 * @property {Query} now
 * @property {{x: Float32Array, y: Float32Array, groups: Uint16Array, ids: Float64Array}} points
 * @property {import("./map.js").Cluster[]} clusters
 * @property {"move" | "lasso"} tool what a drag does
 * @property {number} only the group that is shown alone; -1 for all
 * @property {(plane: Plane) => void} hand is given this one, for whoever zooms it from outside
 * @property {(problem: unknown) => void} onLost it cannot be drawn
 *
 * @typedef {{cluster: number, left: number, top: number, width: number}} Label a group's, by its middle
 */

const CORNERS = 60; // of a lasso
const MOST_ZOOM = 60;
const REACH_PX = 14; // of the pointer
const TAP_PX = 5; // that a pointer moves at most where it only points
const LABEL_PX = 22; // its height
const WHOLE = { x: 0, y: 0, zoom: 1 };

export class Plane extends Component {
  /** @param {PlaneProps} props */
  constructor(props) {
    super(props);
    /** @type {{look: import("./points.js").Look, lasso: number[][],
     *   hovered: {segment: number, left: number, top: number} | null, label: number}} */
    this.state = { look: WHOLE, hovered: null, lasso: [], label: -1 };
    this.canvas = createRef();
    this.nearest = new Nearest(props.points.x, props.points.y);
    /** @type {Points | null} */
    this.points = null;
    /** @type {Map<number, {x: number, y: number}>} */
    this.pointers = new Map();
    this.frame = 0;
    /** @type {Label[]} */
    this.placed = [];
  }

  componentDidMount() {
    const canvas = this.canvas.current;
    try {
      this.points = new Points(canvas, this.props.points);
    } catch (problem) {
      return this.props.onLost(problem);
    }
    this.props.hand(this);
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(canvas);
    canvas.addEventListener("wheel", (/** @type {WheelEvent} */ event) => this.wheel(event), {
      passive: false,
    });
    this.resize();
    return this.markAnswers();
  }

  /** @param {PlaneProps} was @param {any} state */
  componentDidUpdate(was, state) {
    if (question(was.now) !== question(this.props.now)) this.markAnswers();
    if (this.state.look !== state.look || was.only !== this.props.only) this.drawSoon();
  }

  componentWillUnmount() {
    this.observer?.disconnect();
    cancelAnimationFrame(this.frame);
    this.unhear?.();
    this.points?.free();
    this.points = null;
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    this.zoom(
      Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015) * (event.ctrlKey ? 6 : 1)),
      event.offsetX,
      event.offsetY,
    );
  }

  /** Let the regions of some items stand out, and no others. @param {import("./items.js").Item[]} items */
  mark(items) {
    const { points } = this.props;
    if (!this.points) return;
    const ids = new Set(items.flatMap((item) => item.regions.map(({ segment_id }) => segment_id)));
    this.points.mark(Float32Array.from(points.ids, (id) => Number(ids.has(id))));
    this.drawSoon();
  }

  /** Answers to what is asked for stand out. */
  markAnswers() {
    const { now } = this.props;
    this.unhear?.();
    this.unhear = undefined;
    if (!this.points) return undefined;
    if (!asks(now) || now.things.length) return this.mark([]);
    const results = resultsOf(now);
    const mark = () => this.mark(results.items);
    results.listeners.add(mark);
    this.unhear = () => void results.listeners.delete(mark);
    mark();
    return results.items.length ? undefined : void results.more();
  }

  resize() {
    const canvas = this.canvas.current;
    if (!canvas) return;
    const density = Math.min(2, devicePixelRatio || 1);
    canvas.width = Math.round(canvas.clientWidth * density);
    canvas.height = Math.round(canvas.clientHeight * density);
    this.setState({}); // labels move
    this.drawSoon();
  }

  drawSoon() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.points?.draw(this.state.look, this.props.only);
    });
  }

  /** @param {number} factor @param {number} [left] @param {number} [top] of the canvas, in CSS pixels */
  zoom(factor, left, top) {
    const { points } = this,
      { look } = this.state;
    if (!points) return;
    const at = [left ?? points.canvas.clientWidth / 2, top ?? points.canvas.clientHeight / 2];
    const before = points.toMap(look, at[0], at[1]);
    const next = { ...look, zoom: Math.min(MOST_ZOOM, Math.max(0.8, look.zoom * factor)) };
    const after = points.toMap(next, at[0], at[1]);
    this.setState({
      look: { ...next, x: next.x + before[0] - after[0], y: next.y + before[1] - after[1] },
      hovered: null,
    });
  }

  /** @param {PointerEvent} event */
  down(event) {
    if (event.button) return;
    /** @type {Element} */ (event.currentTarget).setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    this.moved = 0;
    this.spread = 0;
    this.drawing = this.pointers.size === 1 && (this.props.tool === "lasso" || event.shiftKey);
    if (this.drawing) this.setState({ lasso: [[event.offsetX, event.offsetY]], hovered: null });
    else if (this.state.lasso.length) this.setState({ lasso: [] }); // a second finger: it is a pinch
    if (this.pointers.size > 1) this.moved = TAP_PX; // which opens nothing
  }

  /** @param {PointerEvent} event that the browser has taken for something else, such as scrolling */
  cancel(event) {
    this.pointers.delete(event.pointerId);
    this.drawing = false;
    this.setState({ lasso: [] });
  }

  /** @param {PointerEvent} event */
  move(event) {
    const { points } = this,
      last = this.pointers.get(event.pointerId),
      { look } = this.state;
    if (!points) return;
    if (!last) return this.hover(event.offsetX, event.offsetY);
    const dx = event.offsetX - last.x,
      dy = event.offsetY - last.y;
    this.moved = (this.moved ?? 0) + Math.hypot(dx, dy);
    this.pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    if (this.pointers.size > 1) {
      const [a, b] = [...this.pointers.values()],
        spread = Math.hypot(a.x - b.x, a.y - b.y);
      if (this.spread) this.zoom(spread / this.spread, (a.x + b.x) / 2, (a.y + b.y) / 2);
      this.spread = spread;
      return;
    }
    if (this.drawing) {
      const { lasso } = this.state,
        [x, y] = lasso[lasso.length - 1];
      if (Math.hypot(event.offsetX - x, event.offsetY - y) > 4)
        this.setState({ lasso: [...lasso, [event.offsetX, event.offsetY]] });
      return;
    }
    const from = points.toMap(look, 0, 0),
      to = points.toMap(look, dx, dy);
    this.setState({
      look: { ...look, x: look.x - (to[0] - from[0]), y: look.y - (to[1] - from[1]) },
      hovered: null,
    });
  }

  /** @param {PointerEvent} event */
  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    const { lasso, look } = this.state;
    if (this.drawing) {
      this.drawing = false;
      this.setState({ lasso: [] });
      if (lasso.length > 5 && this.points) {
        const step = Math.ceil(lasso.length / CORNERS);
        const corners = lasso
          .filter((/** @type {unknown} */ _, /** @type {number} */ i) => i % step === 0)
          .map((/** @type {number[]} */ [left, top]) =>
            this.points
              ?.toMap(look, left, top)
              .map((/** @type {number} */ value) => Math.round(value * 1000) / 1000),
          );
        this.listArea(corners);
      }
    } else if ((this.moved ?? 0) < TAP_PX) {
      const label = this.labelAt(event.offsetX, event.offsetY);
      if (label < 0) void this.openAt(event.offsetX, event.offsetY);
      else go(groupOf(label));
    }
  }

  /** What lies within a lasso, as a list. @param {number[][]} corners */
  listArea(corners) {
    go({
      ...query(),
      view: "grid",
      at: 0,
      image: 0,
      segment: 0,
      filters: { ...query().filters, map_area: corners, map_cluster: undefined },
    });
  }

  /** The point that a place on the canvas means; -1 for none. @param {number} left @param {number} top */
  pointAt(left, top) {
    const { points } = this,
      { look } = this.state;
    if (!points) return -1;
    const [x, y] = points.toMap(look, left, top),
      [edge] = points.toMap(look, left + REACH_PX, top);
    return this.nearest.find(x, y, Math.abs(edge - x));
  }

  /** @param {number} left @param {number} top */
  hover(left, top) {
    const label = this.props.tool === "lasso" ? -1 : this.labelAt(left, top);
    if (label !== this.state.label) this.setState({ label });
    const at = label < 0 ? this.pointAt(left, top) : -1,
      segment = at < 0 ? 0 : this.props.points.ids[at];
    if (segment === (this.state.hovered?.segment ?? 0)) return;
    this.setState({
      hovered: segment ? { segment, left, top } : null,
    });
  }

  /** @param {number} left @param {number} top */
  async openAt(left, top) {
    const at = this.pointAt(left, top);
    if (at < 0) return;
    try {
      const { image_id: image, segment_id: segment } = await call(`v1/segments/${this.props.points.ids[at]}`);
      openPicture(image, segment);
    } catch (problem) {
      notify(sentence(problem), { bad: true });
    }
  }

  /** The group whose label is at a place on the canvas; -1 for none. @param {number} left
   * @param {number} top */
  labelAt(left, top) {
    const label = this.placed.find(
      (one) => Math.abs(one.left - left) < one.width / 2 && Math.abs(one.top - top) < LABEL_PX / 2,
    );
    return label ? label.cluster : -1;
  }

  /** Labels that do not lie on each other, the largest groups first. */
  labels() {
    const { points } = this,
      { look } = this.state;
    if (!points || !points.canvas.clientWidth) return [];
    /** @type {Label[]} */
    const placed = [];
    this.placed = placed;
    return [...this.props.clusters]
      .sort((a, b) => b.regions - a.regions)
      .flatMap((cluster) => {
        const [left, top] = points.toScreen(look, cluster.x, cluster.y),
          width = 9 * wordsOf(cluster).length + 16;
        const out =
          left < 0 || top < 10 || left > points.canvas.clientWidth || top > points.canvas.clientHeight - 10;
        if (
          out ||
          placed.some(
            (other) =>
              Math.abs(other.left - left) < (other.width + width) / 2 && Math.abs(other.top - top) < 26,
          )
        )
          return [];
        placed.push({ cluster: cluster.cluster, left, top, width });
        return [
          html`<span class=${cluster.cluster === this.state.label ? "map-label on" : "map-label"} key=${cluster.cluster}
            style=${`left:${left}px;top:${top}px`}>${wordsOf(cluster)}</span>`,
        ];
      });
  }

  /** The whole map again. */
  zoomOut() {
    this.setState({ look: WHOLE });
  }

  /** @param {PlaneProps} props @param {any} state */
  render({ tool }, { lasso, hovered }) {
    return html`<div class=${`canvas ${tool}`}>
      <canvas ref=${this.canvas} aria-hidden="true" onPointerDown=${(/** @type {PointerEvent} */ event) => this.down(event)}
        onPointerMove=${(/** @type {PointerEvent} */ event) => this.move(event)} onPointerUp=${(/** @type {PointerEvent} */ event) => this.up(event)}
        onPointerCancel=${(/** @type {PointerEvent} */ event) => this.cancel(event)} onPointerLeave=${() => this.setState({ hovered: null, label: -1 })}></canvas>
      ${lasso.length ? html`<svg class="lasso" aria-hidden="true"><polygon points=${lasso.map((/** @type {number[]} */ corner) => corner.join(",")).join(" ")} /></svg>` : null}
      <div class="labels" aria-hidden="true">${this.labels()}</div>
      ${
        hovered
          ? html`<div class="peek" aria-hidden="true" style=${`left:${hovered.left + 14}px;top:${hovered.top + 14}px`}>
        <img alt="" src=${cutout(hovered.segment, 160)} /></div>`
          : null
      }
    </div>`;
  }
}
