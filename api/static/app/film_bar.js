// What stands under a video: the bar, on which a click, a drag and the arrow keys seek, with the answers
// and how long the chosen thing is there, and buttons that play it and lead through it.

import { Component, createRef, html } from "../vendor/preact.js";
import { resultsOf } from "./results.js";
import { clock } from "./sayings.js";
import { query } from "./store.js";
import { NEAR_S } from "./track.js";

/**
 * @typedef {{image: number, segment: number, seconds: number}} Mark an answer in the video
 * @typedef {{image_id: number, t_start: number, t_end: number, seconds: number}} Shot
 *
 * @typedef {object} Video
 * @property {number} video_id
 * @property {number} seconds
 * @property {number} frame_rate
 * @property {string} codec
 * @property {string} container
 * @property {boolean} has_sound
 * @property {Shot[]} shots in order, without a gap
 *
 * @typedef {object} FilmState
 * @property {Video | null} video
 * @property {"file" | "frames" | "clip"} source what is shown: the video, its frames, or a shot re-encoded
 * @property {{t_start: number, t_end: number} | null} clip that part of a shot
 * @property {number | null} at the second of the frame below the video; null where it is not known yet
 * @property {import("./items.js").Region[]} seen in the frame at which it stands
 * @property {import("./track.js").Track | null} track of the chosen thing
 * @property {boolean} playing
 * @property {boolean} ready whether the video shows the frame that it should
 * @property {boolean} muted
 * @property {boolean} clips whether shots may come re-encoded
 * @property {boolean} lost whether the frame cannot be had
 *
 * @typedef {object} TimelineProps
 * @property {{seconds: number, frame_rate: number, shots: {t_start: number}[]}} video
 * @property {Mark[]} marks by time
 * @property {{t_start: number, t_end: number} | null} life of the chosen thing
 * @property {number} segment the chosen thing's; 0 for none
 * @property {(seconds: number) => void} onSeek
 * @property {(mark: Mark) => void} onMark
 * @property {(timeline: Timeline) => void} hand is given this one
 */

const LONGEST_STEP_S = 5;
const STEPS = 100; // of an arrow key from end to end
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

/** Paths on a 24 x 24 grid, drawn with a stroke. @type {Record<string, string>} */
const SIGNS = {
  play: "M7 4.5v15l12-7.5z",
  pause: "M8 5v14M16 5v14",
  frameBefore: "M17 6l-7 6 7 6zM6 6v12",
  frameAfter: "M7 6l7 6-7 6zM18 6v12",
  hitBefore: "M11 6l-6 6 6 6M18 9l3 3-3 3-3-3z",
  hitAfter: "M13 6l6 6-6 6M6 9l3 3-3 3-3-3z",
  sound: "M4 9.5v5h3.5L12 18V6L7.5 9.5zM15.5 9a4.5 4.5 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11",
  silent: "M4 9.5v5h3.5L12 18V6L7.5 9.5zM16 9.5l5 5M21 9.5l-5 5",
};

/** @param {{sign: string, label: string, onClick: () => void, disabled?: boolean}} props */
const Push = ({ sign, label, onClick, disabled }) => html`
  <button type="button" class="icon-button" title=${label} aria-label=${label.replace(/ \(.*/, "")} disabled=${disabled} onClick=${onClick}>
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${SIGNS[sign]} /></svg></button>`;

/** The answers in the shots of a video, by time, each thing once. @param {Shot[]} shots @returns {Mark[]} */
export function marksOf(shots) {
  const { items, shown } = resultsOf(query()),
    images = new Set(shots.map(({ image_id }) => image_id));
  /** @type {Map<number, Mark>} */
  const marks = new Map();
  for (const { image, regions, at } of items.slice(0, shown).filter((item) => images.has(item.image))) {
    for (const { segment_id: segment, life } of regions) {
      const seconds = life?.best_seconds ?? at;
      if (seconds !== undefined && !marks.has(segment)) marks.set(segment, { image, segment, seconds });
    }
  }
  return [...marks.values()].sort((a, b) => a.seconds - b.seconds);
}

/** The answer before a moment, or the next. @param {Mark[]} marks @param {number} step
 * @param {number} seconds */
export function markAfter(marks, step, seconds) {
  const at = marks.findIndex(
    (mark) => mark.segment === query().segment && Math.abs(mark.seconds - seconds) <= NEAR_S,
  );
  if (at >= 0) return marks[at + step]; // of several at one moment, too
  const beyond = (/** @type {Mark} */ mark) => step * (mark.seconds - seconds) > NEAR_S;
  return step > 0 ? marks.find(beyond) : marks.findLast(beyond);
}

/** @param {FilmState & {film: import("./film.js").Film, video: Video, marks: Mark[]}} props */
export function FilmBar({ film, video, marks, source, playing, ready, track, muted, clips, lost }) {
  return html`<div class="film">
    <${Timeline} hand=${film.onTimeline} video=${video} marks=${marks} life=${track} segment=${query().segment}
      onSeek=${(/** @type {number} */ seconds) => film.seek(seconds)} onMark=${(/** @type {Mark} */ mark) => film.open(mark)} />
    <div class="film-keys">
      <${Push} sign=${playing ? "pause" : "play"} label=${playing ? "Pause (Space)" : "Play (Space)"} disabled=${source === "frames" && !clips} onClick=${() => film.toggle()} />
      <${Push} sign="frameBefore" label="Previous keyframe (,)" onClick=${() => film.keyframe(-1)} />
      <${Push} sign="frameAfter" label="Next keyframe (.)" onClick=${() => film.keyframe(1)} />
      ${video.has_sound ? html`<${Push} sign=${muted ? "silent" : "sound"} label=${muted ? "Sound on" : "Sound off"} onClick=${() => film.setState({ muted: !muted })} />` : null}
      ${
        marks.length
          ? html`<span class="film-hits"><${Push} sign="hitBefore" label="Previous hit" disabled=${!playing && !markAfter(marks, -1, film.seconds)} onClick=${() => film.toMark(-1)} />
        <${Push} sign="hitAfter" label="Next hit" disabled=${!playing && !markAfter(marks, 1, film.seconds)} onClick=${() => film.toMark(1)} />
        <span>${marks.length === 1 ? "1 hit" : `${marks.length} hits`}</span></span>`
          : null
      }
    </div>
    ${
      source === "file"
        ? null
        : html`<p class="film-said" role="status">${
            lost
              ? "This frame cannot be read: the file may be gone or damaged."
              : source === "clip" && !ready
                ? "Re-encoding the shot …"
                : `This browser does not play ${video.codec} in ${video.container}. ${clips ? "Frames are shown; Play re-encodes the shot." : "Its frames are shown."}`
          } <a href=${`v1/videos/${video.video_id}/file`} download>The file</a></p>`
    }
  </div>`;
}
