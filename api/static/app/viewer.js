// The open picture: zoom and pan, regions under the pointer, clicks and boxes that cut something out.

import { Component, createRef, html } from "../vendor/preact.js";
import { original, thumbnail } from "./api.js";
import { SHOWN } from "./cutting.js";
import { regionsAt } from "./masks.js";
import { drawRegions, drawSoon } from "./outline.js";
import { lineAt } from "./words.js";
import { bounded, fit, zoomed } from "./zoom.js";

/**
 * @typedef {import("./items.js").Region} Region @typedef {import("./items.js").Line} Line
 * @typedef {import("./zoom.js").Place} Place
 * @typedef {import("./zoom.js").Size} Size
 * @typedef {[number, number, number, number]} Quad
 *
 * @typedef {object} ViewerProps
 * @property {{image_id: number, width: number, height: number, format: string}} image
 * @property {any} [film] what is shown in place of the picture
 * @property {Region[]} segments
 * @property {Line[]} lines the picture's text
 * @property {Line[]} found those of them that were asked for
 * @property {number} pointed the place of the line that is pointed at; 0 for none
 * @property {any} chosen the region that is marked, stored or fresh
 * @property {{points: [number, number][], labels: number[], box: number[] | null}} prompt what was clicked
 * @property {"select" | "cut"} tool
 * @property {number} level how far out of the regions under the pointer is meant; 0 is the smallest
 * @property {string} name
 * @property {(region: Region) => void} onChoose
 * @property {(x: number, y: number, label: 0 | 1, more: boolean) => void} onPoint in pixels of the picture
 * @property {(box: [number, number, number, number]) => void} onBox
 * @property {(viewer: Viewer) => void} hand is given this one, for whoever zooms it from outside
 * @property {(region: Region | null, line: number) => void} onUnder what the pointer, or the crosshair,
 *   means, and the place of the line of text there; 0 for none
 * @property {(step: number) => void} onLevel the wheel with Alt: further out, or in
 */

const CLICK_PX = 5; // a pointer that moves less has clicked
const STEP_PX = 10,
  FINE_PX = 1; // of the crosshair, in CSS pixels; fine with Shift
const MOVES = /** @type {Record<string, [number, number]>} */ ({
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
});
const DENSITY = Math.min(2, globalThis.devicePixelRatio || 1);

export class Viewer extends Component {
  static hint = "Click a thing to choose it; where none is outlined, it is cut out afresh.";

  /** @param {ViewerProps} props */
  constructor(props) {
    super(props);
    this.frame = createRef();
    this.canvas = createRef();
    /** @type {{place: Place | null, frame: Size | null, cross: {x: number, y: number} | null,
     *   box: Quad | null, full: boolean, gone: boolean}} */
    this.state = { place: null, frame: null, cross: null, box: null, full: false, gone: false };
    /** @type {Map<number, {x: number, y: number}>} */
    this.pointers = new Map();
    this.moved = 0;
    this.pinch = 0;
    this.start = { x: 0, y: 0 };
    /** @type {Region | null} */
    this.under = null;
    this.line = 0;
    this.drawn = "";
  }

  componentDidMount() {
    this.props.hand(this);
    this.observer = new ResizeObserver(([{ contentRect: frame }]) => {
      if (!frame.width || !frame.height) return;
      const { place, frame: before } = this.state;
      const moved = place && before && place.scale > fit(this.picture, before).scale * 1.001;
      this.setState({
        frame,
        place: moved ? bounded(place, this.picture, frame) : fit(this.picture, frame),
      });
    });
    this.observer.observe(this.frame.current);
    this.frame.current.addEventListener("wheel", (/** @type {WheelEvent} */ event) => this.wheel(event), {
      passive: false,
    });
  }

  componentWillUnmount() {
    this.observer?.disconnect();
  }

  componentDidUpdate() {
    this.draw();
  }

  get picture() {
    const { width, height } = this.props.image;
    return { width: width || 4, height: height || 3 };
  }

  /** @param {number} factor @param {{x: number, y: number}} [about] the frame's middle unless told */
  zoom(factor, about) {
    const { place, frame } = this.state;
    if (!place || !frame) return;
    const next = zoomed(
      place,
      factor,
      about ?? { x: frame.width / 2, y: frame.height / 2 },
      this.picture,
      frame,
    );
    this.setState({
      place: next,
      full: this.state.full || next.scale > fit(this.picture, frame).scale * 1.5,
    });
  }

  /** The whole picture again. */
  zoomOut() {
    if (this.state.frame) this.setState({ place: fit(this.picture, this.state.frame) });
  }

  /** One pixel of the picture a pixel of the screen. */
  zoomFull() {
    if (this.state.place) this.zoom(1 / DENSITY / this.state.place.scale);
  }

  /**
   * Where in the picture a point of the window lies, in its pixels.
   * @param {{clientX: number, clientY: number}} event
   */
  pixel({ clientX, clientY }) {
    const { left, top } = this.frame.current.getBoundingClientRect();
    const place = this.state.place ?? { scale: 1, x: 0, y: 0 };
    return { x: (clientX - left - place.x) / place.scale, y: (clientY - top - place.y) / place.scale };
  }

  /** @param {{x: number, y: number}} pixel */
  inside({ x, y }) {
    return x >= 0 && y >= 0 && x < this.picture.width && y < this.picture.height;
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    const { left, top } = this.frame.current.getBoundingClientRect();
    if (event.altKey) {
      this.props.onLevel(event.deltaY < 0 ? 1 : -1);
      return;
    }
    const factor = Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015) * (event.ctrlKey ? 6 : 1));
    this.zoom(factor, { x: event.clientX - left, y: event.clientY - top });
  }

  /** @param {PointerEvent} event */
  down(event) {
    if (event.button) return;
    if (event.target instanceof Element && event.target.closest("button")) return;
    this.frame.current.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.pointers.size === 1) {
      this.moved = 0;
      this.pinched = false;
      this.start = this.pixel(event);
    } else {
      this.pinched = true; // until all fingers are up: the last of them cuts nothing out
      this.setState({ box: null });
      this.pinch = this.spread();
    }
  }

  spread() {
    const [a, b] = [...this.pointers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y);
  }

  /** @param {PointerEvent} event */
  move(event) {
    const { place, frame } = this.state;
    if (!place || !frame) return;
    const last = this.pointers.get(event.pointerId);
    if (!last) {
      this.hover(event);
      return;
    }
    const dx = event.clientX - last.x,
      dy = event.clientY - last.y;
    this.moved += Math.hypot(dx, dy);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.pointers.size > 1) {
      const spread = this.spread(),
        { left, top } = this.frame.current.getBoundingClientRect();
      const points = [...this.pointers.values()];
      const about = {
        x: points.reduce((sum, { x }) => sum + x, 0) / points.length - left,
        y: points.reduce((sum, { y }) => sum + y, 0) / points.length - top,
      };
      this.zoom(spread / this.pinch, about);
      this.pinch = spread;
      return;
    }
    if (this.moved < CLICK_PX) return;
    if (this.props.tool === "cut") {
      if (this.pinched) return;
      const { x, y } = this.pixel(event),
        { width, height } = this.picture;
      const within = (/** @type {number} */ value, /** @type {number} */ most) =>
        Math.round(Math.min(most, Math.max(0, value)));
      this.setState({
        box: [
          within(Math.min(x, this.start.x), width),
          within(Math.min(y, this.start.y), height),
          within(Math.max(x, this.start.x), width),
          within(Math.max(y, this.start.y), height),
        ],
      });
    } else
      this.setState({ place: bounded({ ...place, x: place.x + dx, y: place.y + dy }, this.picture, frame) });
  }

  /** @param {PointerEvent} event */
  up(event) {
    if (!this.pointers.delete(event.pointerId) || this.pointers.size) return;
    const { box } = this.state;
    this.setState({ box: null });
    if (box) {
      if (box[2] - box[0] > 1 && box[3] - box[1] > 1) this.props.onBox(box);
    } else if (!this.pinched && this.moved < CLICK_PX) this.point(this.pixel(event), event);
  }

  /** @param {PointerEvent} event that the browser has taken for something else */
  cancel(event) {
    this.pointers.delete(event.pointerId);
    this.pinched = true;
    this.setState({ box: null });
  }

  /** What a click, or Enter at the crosshair, means. @param {{x: number, y: number}} pixel
   * @param {{shiftKey: boolean, altKey: boolean}} keys */
  point(pixel, { shiftKey, altKey }) {
    if (!this.inside(pixel)) return;
    const [x, y] = [Math.floor(pixel.x), Math.floor(pixel.y)];
    const region = this.props.tool === "select" && !shiftKey && !altKey ? this.regionAt(pixel) : null;
    if (region) this.props.onChoose(region);
    else this.props.onPoint(x, y, altKey ? 0 : 1, shiftKey || altKey);
  }

  /** The region that a place means, at the level that is set: first that of the line of text there.
   * @param {{x: number, y: number}} pixel @returns {Region | null} */
  regionAt({ x, y }) {
    const { segments, lines, level } = this.props,
      line = level ? undefined : lineAt(lines, { x, y });
    const holder = line?.segment_id ?? line?.element_id;
    const written = segments.find((/** @type {Region} */ { segment_id }) => segment_id === holder);
    if (written) return written;
    /** @type {Region[]} */
    const under = regionsAt(segments, x, y);
    return under[Math.min(level, under.length - 1)] ?? null;
  }

  /** @param {PointerEvent} event */
  hover(event) {
    const pixel = this.pixel(event);
    this.means(this.inside(pixel) && event.pointerType !== "touch" ? pixel : null);
    this.frame.current.classList.toggle("over", this.under !== null);
    this.draw();
  }

  leave() {
    this.means(null);
    this.draw();
  }

  /** A place means a region now, and a line of text, or none. @param {{x: number, y: number} | null} pixel */
  means(pixel) {
    const at = this.props.tool === "select" ? pixel : null;
    const region = at && this.regionAt(at),
      line = (at && lineAt(this.props.lines, at)?.position) || 0;
    if (region === this.under && line === this.line) return;
    this.under = region;
    this.line = line;
    this.props.onUnder(region, line);
  }

  /** @param {KeyboardEvent} event */
  keys(event) {
    if (event.ctrlKey || event.metaKey) return;
    const { place, frame } = this.state,
      move = MOVES[event.key];
    if (!place || !frame || (!move && event.key !== "Enter") || event.target !== this.frame.current) return;
    event.preventDefault();
    event.stopPropagation();
    const middle = {
      x: (frame.width / 2 - place.x) / place.scale,
      y: (frame.height / 2 - place.y) / place.scale,
    };
    const cross = this.state.cross ?? middle;
    if (!move) {
      this.point(cross, event);
      return;
    }
    const step = (event.shiftKey ? FINE_PX : STEP_PX) / place.scale;
    const within = (/** @type {number} */ value, /** @type {number} */ most) =>
      Math.min(most - 0.01, Math.max(0, value));
    const next = {
      x: within(cross.x + move[0] * step, this.picture.width),
      y: within(cross.y + move[1] * step, this.picture.height),
    };
    this.setState({ cross: next });
    this.means(next);
  }

  /** Draw what is chosen, and thinly what is under the pointer. */
  draw() {
    const canvas = this.canvas.current,
      { frame } = this.state,
      { chosen, found, lines, pointed } = this.props;
    if (!canvas || !frame) return;
    const scale = fit(this.picture, frame).scale * DENSITY,
      width = Math.round(this.picture.width * scale),
      height = Math.round(this.picture.height * scale),
      { under } = this;
    const regions = [...(chosen ? [chosen] : []), ...(under && under !== chosen ? [under] : [])];
    const line = Math.max(2, Math.max(width, height) / 420);
    const how = {
      width,
      height,
      line: chosen ? line : line * 0.7,
      dim: false,
      words: found,
      pointed: lines.find((/** @type {Line} */ { position }) => position === pointed),
      box: [0, 0, this.picture.width, this.picture.height],
    };
    const words = [pointed, ...found.map((/** @type {Line} */ { position }) => position)];
    const key = `${width} ${height} ${chosen?.segment_id} ${chosen?.mask.counts} ${under?.segment_id} ${words}`;
    if (key === this.drawn) return;
    this.drawn = key;
    drawSoon(canvas, () => drawRegions(canvas, regions, how));
  }

  /** @param {ViewerProps} props @param {any} state */
  render({ image, film, prompt, name, tool }, { place, cross, box, full, gone }) {
    const { width, height } = this.picture;
    const sheet = place
      ? `width:${width}px;height:${height}px;transform:translate(${place.x}px,${place.y}px) scale(${place.scale})`
      : "";
    const spot = (/** @type {number} */ x, /** @type {number} */ y) =>
      place ? `left:${place.x + x * place.scale}px;top:${place.y + y * place.scale}px` : "";
    const area = (/** @type {number[]} */ [x0, y0, x1, y1]) =>
      `${spot(x0, y0)};width:${(x1 - x0) * place.scale}px;height:${(y1 - y0) * place.scale}px`;
    return html`<div class=${`frame ${tool}`} ref=${this.frame} role="application" tabindex="0" aria-label=${`${name}. The arrow keys move a crosshair, Enter chooses.`}
        onPointerDown=${(/** @type {PointerEvent} */ event) => this.down(event)} onPointerMove=${(/** @type {PointerEvent} */ event) => this.move(event)}
        onPointerUp=${(/** @type {PointerEvent} */ event) => this.up(event)} onPointerCancel=${(/** @type {PointerEvent} */ event) => this.cancel(event)}
        onPointerLeave=${() => this.leave()} onKeyDown=${(/** @type {KeyboardEvent} */ event) => this.keys(event)}>
      ${
        place
          ? html`<div class="sheet" style=${sheet}>
        ${gone ? null : (film ?? html`<img class="small" alt="" draggable=${false} src=${thumbnail(image.image_id, 1280)} onError=${() => this.setState({ gone: true })} />`)}
        ${full && !film ? html`<img class="full" alt="" draggable=${false} src=${original(image.image_id, SHOWN.has(image.format))} />` : null}
        <canvas ref=${this.canvas} aria-hidden="true"></canvas>
      </div>`
          : null
      }
      ${gone ? html`<p class="gone" role="status">The picture cannot be loaded: its file may be gone.</p>` : null}
      ${place && prompt.points.map(([x, y], i) => html`<i key=${i} class=${prompt.labels[i] ? "dot" : "dot not"} style=${spot(x + 0.5, y + 0.5)}></i>`)}
      ${place && prompt.box ? html`<i class="box" style=${area(prompt.box)}></i>` : null}
      ${place && box ? html`<i class="box" style=${area(box)}></i>` : null}
      ${place && cross ? html`<i class="cross" style=${spot(cross.x, cross.y)}></i>` : null}
    </div>`;
  }
}
