// All regions in two dimensions: what looks alike lies together. Pan, zoom, hover, lasso; groups carry
// their words.

import { Component, createRef, html } from "../vendor/preact.js";
import { asks, question } from "./address.js";
import { call, cutout, isAbort, post, Refusal, request, sentence } from "./api.js";
import { colourOf, Nearest, Points } from "./points.js";
import { resultsOf } from "./results.js";
import { collectionOf, count, day, wordsOf } from "./sayings.js";
import { go, openPicture, query } from "./store.js";
import { IconButton, notify, Switch } from "./ui.js";

/**
 * @typedef {import("./address.js").Query} Query
 * @typedef {{cluster: number, words: string[], regions: number, x: number, y: number,
 *   examples: number[]}} Cluster
 * @typedef {{state: string, stale: boolean, progress: number | null, step: string | null,
 *   message: string | null,
 *   method: string | null, regions: number, made_at: string | null, clusters: Cluster[]}} MapState
 */

const LOOK_MS = 1000; // at a map that is being made
const HEADER = 6; // numbers before the points
const MAGIC = 0x314d5353; // "SSM1"
const CORNERS = 60; // of a lasso
const MOST_ZOOM = 60;
const REACH_PX = 14; // of the pointer
const TAP_PX = 5; // that a pointer moves at most where it only points

/** The blocks of the answer as arrays. @param {ArrayBuffer} buffer */
export function unpack(buffer) {
  const [magic, length, x, y, groups, ids] = new Uint32Array(buffer, 0, HEADER);
  if (magic !== MAGIC) throw new Refusal("The map cannot be read: draw it anew.");
  const segments = new BigInt64Array(buffer, ids, length);
  return {
    x: new Float32Array(buffer, x, length),
    y: new Float32Array(buffer, y, length),
    groups: new Uint16Array(buffer, groups, length),
    ids: Float64Array.from(segments, Number),
  };
}

export class MapView extends Component {
  /** @param {{now: Query, mayWrite: boolean}} props */
  constructor(props) {
    super(props);
    /** @type {any} */
    this.state = {
      map: null,
      problem: "",
      lost: false, // whether the problem is that the map could not be fetched
      points: null,
      look: { x: 0, y: 0, zoom: 1 },
      tool: "move",
      only: -1,
      hovered: null,
      lasso: [],
    };
    this.canvas = createRef();
    this.stop = new AbortController();
    this.key = ""; // of the map that is drawn
    /** @type {Points | null} */
    this.points = null;
    /** @type {Nearest | null} */
    this.nearest = null;
    /** @type {Map<number, {x: number, y: number}>} */
    this.pointers = new Map();
    this.frame = 0;
    this.gone = false;
    this.wheel = this.wheel.bind(this); // one listener, however often a canvas is begun
  }

  componentDidMount() {
    void this.load();
    this.observer = new ResizeObserver(() => this.resize());
  }

  /** @param {any} was @param {any} state */
  componentDidUpdate(was, state) {
    if (collectionOf(was.now) !== collectionOf(this.props.now)) void this.load();
    const canvas = this.canvas.current;
    if (this.state.points && canvas && this.points?.canvas !== canvas) this.begin(canvas);
    else if (question(was.now) !== question(this.props.now)) this.markAnswers();
    if (this.state.look !== state.look || this.state.only !== state.only) this.drawSoon();
  }

  componentWillUnmount() {
    this.gone = true;
    this.stop.abort();
    this.observer?.disconnect();
    clearTimeout(this.timer);
    cancelAnimationFrame(this.frame);
    this.unhear?.();
    this.release();
  }

  /** Free what was drawn: there is another map, or none. */
  release() {
    this.points?.free();
    this.points = null;
  }

  /** There is no map that could be shown. @param {object} [more] of the state */
  withdraw(more) {
    this.release();
    this.key = "";
    this.setState({ points: null, ...more });
  }

  lookSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.load(), LOOK_MS);
  }

  get of() {
    const name = collectionOf(this.props.now);
    return name ? `?collection=${encodeURIComponent(name)}` : "";
  }

  async load() {
    this.stop.abort();
    this.stop = new AbortController();
    clearTimeout(this.timer);
    const options = { signal: this.stop.signal };
    try {
      /** @type {MapState} */
      const map = await call(`v1/map${this.of}`, options);
      this.setState({
        map,
        problem: map.state === "failed" ? (map.message ?? "The map could not be drawn.") : "",
        lost: false,
      });
      if (map.state === "making") this.lookSoon();
      const key = `${this.of} ${map.made_at}`;
      if (map.made_at && key !== this.key) {
        const answer = await request(`v1/map/points${this.of}`, options);
        const points = unpack(await answer.arrayBuffer());
        this.key = key;
        this.nearest = new Nearest(points.x, points.y);
        this.release();
        this.setState({
          points,
          look: { x: 0, y: 0, zoom: 1 },
          only: this.props.now.filters.map_cluster ?? -1,
        });
      } else if (!map.made_at) this.withdraw();
    } catch (problem) {
      if (isAbort(problem)) return;
      this.setState({ problem: sentence(problem), lost: true });
      if (this.state.map?.state === "making") this.lookSoon();
    }
  }

  async make() {
    const name = collectionOf(this.props.now);
    try {
      const map = await post("v1/map", { collection: name || null });
      if (this.gone || name !== collectionOf(this.props.now)) return;
      this.setState({ map, problem: "", lost: false });
      this.lookSoon();
    } catch (problem) {
      notify(sentence(problem), { bad: true });
    }
  }

  /** @param {HTMLCanvasElement} canvas */
  begin(canvas) {
    try {
      this.points = new Points(canvas, this.state.points);
    } catch (problem) {
      return this.withdraw({ problem: sentence(problem), lost: true });
    }
    this.observer?.disconnect();
    this.observer?.observe(canvas);
    canvas.addEventListener("wheel", this.wheel, { passive: false });
    this.resize();
    return this.markAnswers();
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

  /** Let the regions of some items stand out, and no others. @param {import("./results.js").Item[]} items */
  mark(items) {
    const { points } = this.state;
    if (!this.points || !points) return;
    const ids = new Set(items.flatMap((item) => item.regions.map(({ segment_id }) => segment_id)));
    this.points.mark(Float32Array.from(points.ids, (/** @type {number} */ id) => Number(ids.has(id))));
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
      this.points?.draw(this.state.look, this.state.only);
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
    this.drawing = this.pointers.size === 1 && (this.state.tool === "lasso" || event.shiftKey);
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
    } else if ((this.moved ?? 0) < TAP_PX) void this.openAt(event.offsetX, event.offsetY);
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
    const { points, nearest } = this,
      { look } = this.state;
    if (!points || !nearest) return -1;
    const [x, y] = points.toMap(look, left, top),
      [edge] = points.toMap(look, left + REACH_PX, top);
    return nearest.find(x, y, Math.abs(edge - x));
  }

  /** @param {number} left @param {number} top */
  hover(left, top) {
    const at = this.pointAt(left, top),
      segment = at < 0 ? 0 : this.state.points.ids[at];
    if (segment === (this.state.hovered?.segment ?? 0)) return;
    this.setState({
      hovered: segment ? { segment, left, top, cluster: this.state.points.groups[at] } : null,
    });
  }

  /** @param {number} left @param {number} top */
  async openAt(left, top) {
    const at = this.pointAt(left, top);
    if (at < 0) return;
    try {
      const { image_id: image, segment_id: segment } = await call(`v1/segments/${this.state.points.ids[at]}`);
      openPicture(image, segment);
    } catch (problem) {
      notify(sentence(problem), { bad: true });
    }
  }

  /** Labels that do not lie on each other, the largest groups first. */
  labels() {
    const { points } = this,
      { map, look } = this.state;
    if (!points || !points.canvas.clientWidth) return [];
    /** @type {{left: number, top: number, width: number}[]} */
    const placed = [];
    return [...map.clusters]
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
        placed.push({ left, top, width });
        return [
          html`<span class="map-label" key=${cluster.cluster} style=${`left:${left}px;top:${top}px`}>${wordsOf(cluster)}</span>`,
        ];
      });
  }

  /** The groups as a list, for who reads and for the keyboard. @param {MapState} map */
  groups(map) {
    return html`<ul class="groups plain" aria-label="Groups">${[...map.clusters]
      .sort((a, b) => b.regions - a.regions)
      .map(
        (cluster) => html`
      <li key=${cluster.cluster}><button type="button" class="link" onPointerEnter=${() => this.setState({ only: cluster.cluster })}
          onPointerLeave=${() => this.setState({ only: -1 })} onFocus=${() => this.setState({ only: cluster.cluster })} onBlur=${() => this.setState({ only: -1 })}
          onClick=${() => go({ ...query(), view: "grid", at: 0, filters: { ...query().filters, map_area: undefined, map_cluster: cluster.cluster } })}>
        <i class="dot" style=${`background:${colourOf(cluster.cluster)}`}></i><span>${wordsOf(cluster)}</span><span class="quiet">${cluster.regions.toLocaleString("en")}</span>
      </button></li>`,
      )}</ul>`;
  }

  /** @param {any} props @param {any} state */
  render({ mayWrite, now }, { map, problem, lost, points, hovered, lasso, tool }) {
    const making = map?.state === "making";
    const draw = (/** @type {string} */ text) =>
      mayWrite ? html`<button type="button" onClick=${() => this.make()}>${text}</button>` : null;
    const name = collectionOf(now);
    return html`<div id="map" aria-busy=${String(!map && !problem)}>
      <div class="above">
        <p id="message" role="status" class=${problem ? "bad" : ""}>${
          problem ||
          (points
            ? `${count(points.x.length, "region")}${name ? ` of ${name}` : ""}; what looks alike lies together${map.method === "pca" ? " (drawn by principal components)" : ""}`
            : making
              ? ""
              : map
                ? "There is no map yet: it shows all regions, those that look alike together."
                : "")
        }</p>
        ${making ? html`<label class="making">${map.step ?? "Drawing the map"} <progress max="1" value=${map.progress ?? 0}></progress></label>` : null}
        ${!making && map && !points && !problem ? draw("Draw the map") : null}
        ${!making && map?.stale && points ? html`<span class="quiet">The library has changed since ${day(map.made_at)}.</span>${draw("Draw it anew")}` : null}
        ${
          lost
            ? html`<button type="button" onClick=${() => this.load()}>Try again</button>`
            : !making && problem
              ? draw("Try again")
              : null
        }
        ${
          points
            ? html`<${Switch} label="What a drag does" value=${tool} options=${[
                ["move", "Move"],
                ["lasso", "Lasso"],
              ]} onChange=${(/** @type {string} */ value) => this.setState({ tool: value })} />
          <span class="pair"><${IconButton} icon="minus" label="Zoom out" onClick=${() => this.zoom(1 / 1.5)} /><${IconButton} icon="plus" label="Zoom in" onClick=${() => this.zoom(1.5)} />
          <${IconButton} icon="whole" label="The whole map" onClick=${() => this.setState({ look: { x: 0, y: 0, zoom: 1 } })} /></span>`
            : null
        }
      </div>
      ${
        points
          ? html`<div class="plane">
        <div class=${`canvas ${tool}`}>
          <canvas ref=${this.canvas} aria-hidden="true" onPointerDown=${(/** @type {PointerEvent} */ event) => this.down(event)}
            onPointerMove=${(/** @type {PointerEvent} */ event) => this.move(event)} onPointerUp=${(/** @type {PointerEvent} */ event) => this.up(event)}
            onPointerCancel=${(/** @type {PointerEvent} */ event) => this.cancel(event)} onPointerLeave=${() => this.setState({ hovered: null })}></canvas>
          ${lasso.length ? html`<svg class="lasso" aria-hidden="true"><polygon points=${lasso.map((/** @type {number[]} */ corner) => corner.join(",")).join(" ")} /></svg>` : null}
          <div class="labels" aria-hidden="true">${this.labels()}</div>
          ${
            hovered
              ? html`<div class="peek" aria-hidden="true" style=${`left:${hovered.left + 14}px;top:${hovered.top + 14}px`}>
            <img alt="" src=${cutout(hovered.segment, 160)} /></div>`
              : null
          }
        </div>
        ${this.groups(map)}
      </div>`
          : null
      }
    </div>`;
  }
}
