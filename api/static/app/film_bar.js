// What stands under a video: the bar, buttons that play it and lead through it, and what cannot be played.

import { html } from "../vendor/preact.js";
import { resultsOf } from "./results.js";
import { query } from "./store.js";
import { Timeline } from "./timeline.js";
import { NEAR_S } from "./track.js";

/**
 * @typedef {import("./timeline.js").Mark} Mark
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
 * @property {Shot | null} clip that shot
 * @property {number | null} at the second of the frame below the video; null where it is not known yet
 * @property {import("./items.js").Region[]} seen in the frame at which it stands
 * @property {import("./track.js").Track | null} track the chosen thing's
 * @property {boolean} playing
 * @property {boolean} ready whether the video shows the frame that it should
 * @property {boolean} muted
 * @property {boolean} clips whether shots may come re-encoded
 * @property {boolean} lost whether the frame cannot be had
 */

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
export function FilmBar({ film, video, marks, source, playing, track, muted, clips, lost }) {
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
              : `This browser does not play ${video.codec} in ${video.container}. ${clips ? "Frames are shown; Play re-encodes the shot." : "Its frames are shown."}`
          } <a href=${`v1/videos/${video.video_id}/file`} download>The file</a></p>`
    }
  </div>`;
}
