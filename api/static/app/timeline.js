// The bar under a video: its length with the cuts, where answers are, how long the chosen thing is there,
// and the moment that is shown. A click, a drag and the arrow keys seek.

import { Component, createRef, html } from "../vendor/preact.js";
import { clock } from "./sayings.js";

/**
 * @typedef {{image: number, segment: number, seconds: number}} Mark an answer in the video
 *
 * @typedef {object} TimelineProps
 * @property {{seconds: number, frame_rate: number, shots: {t_start: number}[]}} video
 * @property {Mark[]} marks by time
 * @property {{t_start: number, t_end: number} | null} life of the chosen thing
 * @property {number} segment the chosen thing's; 0 for none
 * @property {(seconds: number) => void} onSeek
 * @property {(mark: Mark) => void} onMark
 * @property {(timeline: Timeline) => void} hand is given this one, for whoever moves it from outside
 */

const LONGEST_STEP_S = 5;
const STEPS = 100; // of an arrow key from end to end, in a video of some length
const SNAP_PX = 12; // a click so near to a mark means it: marks are 24 pixels wide
const CLICK_PX = 5;
const FRAME_S = 1 / 25; // where nobody knows how long a frame is

export class Timeline extends Component {
  /** @param {TimelineProps} props */
  constructor(props) {
    super(props);
    this.bar = createRef();
    this.state = { seconds: 0 };
    this.moved = -1; // how far a pointer has been dragged; -1 where none is down
    this.last = 0;
  }

  componentDidMount() {
    this.props.hand(this);
  }

  /** Show that this is the moment now. @param {number} seconds */
  move(seconds) {
    if (seconds !== this.state.seconds) this.setState({ seconds });
  }

  /** The moment under the pointer. @param {PointerEvent} event */
  under({ clientX }) {
    const { left, width } = this.bar.current.getBoundingClientRect();
    return Math.min(1, Math.max(0, (clientX - left) / width)) * this.props.video.seconds;
  }

  /** The nearest mark that a click means. @param {PointerEvent} event @returns {Mark | null} */
  markAt(event) {
    const { video, marks } = this.props,
      at = this.under(event);
    const reach = (SNAP_PX / this.bar.current.clientWidth) * video.seconds;
    const away = (/** @type {Mark} */ { seconds }) => Math.abs(seconds - at);
    const near = marks.filter((/** @type {Mark} */ mark) => away(mark) <= reach);
    return near.sort((/** @type {Mark} */ a, /** @type {Mark} */ b) => away(a) - away(b))[0] ?? null;
  }

  /** @param {PointerEvent} event */
  down(event) {
    if (event.button) return;
    this.bar.current.setPointerCapture(event.pointerId);
    this.moved = 0;
    this.last = event.clientX;
    this.pressed = this.markAt(event);
    if (!this.pressed) this.props.onSeek(this.under(event));
  }

  /** @param {PointerEvent} event */
  drag(event) {
    if (this.moved < 0) return;
    this.moved += Math.abs(event.clientX - this.last);
    this.last = event.clientX;
    if (this.moved >= CLICK_PX) this.props.onSeek(this.under(event));
  }

  up() {
    if (this.moved >= 0 && this.moved < CLICK_PX && this.pressed) this.props.onMark(this.pressed);
    this.moved = -1;
  }

  /** @param {KeyboardEvent} event */
  keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { video } = this.props,
      frame = 1 / video.frame_rate || FRAME_S,
      step = event.shiftKey ? frame : Math.max(frame, Math.min(LONGEST_STEP_S, video.seconds / STEPS));
    const { seconds } = this.state;
    /** @type {Record<string, number>} */
    const to = {
      ArrowLeft: seconds - step,
      ArrowDown: seconds - step,
      ArrowRight: seconds + step,
      ArrowUp: seconds + step,
      PageDown: seconds - 10 * step,
      PageUp: seconds + 10 * step,
      Home: 0,
      End: video.seconds,
    };
    if (to[event.key] === undefined) return;
    event.preventDefault();
    event.stopPropagation(); // they lead from picture to picture elsewhere
    this.props.onSeek(Math.min(video.seconds, Math.max(0, to[event.key])));
  }

  /** What stands still while the video plays: made once, however often the head is moved. */
  ticks() {
    if (this.of !== this.props) {
      const { video, marks, segment } = (this.of = this.props);
      this.made = [
        ...video.shots
          .slice(1)
          .map(
            (/** @type {{t_start: number}} */ { t_start }) =>
              html`<i class="cut" key=${t_start} style=${this.left(t_start)}></i>`,
          ),
        ...marks.map(
          (/** @type {Mark} */ mark) =>
            html`<i key=${`${mark.segment} ${mark.seconds}`} class=${mark.segment === segment ? "mark on" : "mark"} style=${this.left(mark.seconds)}></i>`,
        ),
      ];
    }
    return this.made;
  }

  /** How far along. @param {number} seconds */
  percent(seconds) {
    return (100 * seconds) / (this.props.video.seconds || 1);
  }

  /** @param {number} seconds */
  left(seconds) {
    return `left:${this.percent(seconds)}%`;
  }

  /** @param {TimelineProps} props @param {any} state */
  render({ video, life }, { seconds }) {
    return html`<div class="film-line"><div class="timeline" ref=${this.bar} role="slider" tabindex="0" aria-label="Time" aria-orientation="horizontal"
        aria-valuemin="0" aria-valuemax=${video.seconds} aria-valuenow=${seconds} aria-valuetext=${`${clock(seconds)} of ${clock(video.seconds)}`}
        onPointerDown=${(/** @type {PointerEvent} */ event) => this.down(event)} onPointerMove=${(/** @type {PointerEvent} */ event) => this.drag(event)}
        onPointerUp=${() => this.up()} onPointerCancel=${() => {
          this.moved = -1;
        }} onKeyDown=${(/** @type {KeyboardEvent} */ event) => this.keys(event)}>
      <i class="whole"></i>
      <i class="past" style=${`width:${this.percent(seconds)}%`}></i>
      ${life ? html`<i class="life" style=${`${this.left(life.t_start)};width:${this.percent(life.t_end - life.t_start)}%`}></i>` : null}
      ${this.ticks()}
      <i class="head" style=${this.left(seconds)}></i>
    </div><span class="film-time" aria-hidden="true">${clock(seconds)}.${Math.floor(10 * seconds) % 10} / ${clock(video.seconds)}</span></div>`;
  }
}
