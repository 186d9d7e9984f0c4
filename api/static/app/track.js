// Where a thing of a video is at any second, from its masks at keyframes. Nothing is fetched here.

import { outline } from "./masks.js";
import { frameEdges, MOST_PX, stroke } from "./outline.js";

/**
 * @typedef {import("./types.d.ts").Box} Box
 * @typedef {{seconds: number, box: Box, area: number, mask: {size: [number, number], counts: string}}} Key
 *   a mask at its keyframe
 * @typedef {{segment_id: number, image_id: number, video_id: number, t_start: number, t_end: number,
 *   best_seconds: number, masks: Key[]}} Track masks in order of time
 * @typedef {{key: Key, box: Box, exact: boolean}} Place the mask of the nearest keyframe, and the box it
 *   is moved and scaled to; `exact` where the moment is that of the keyframe
 */

export const NEAR_S = 0.021; // half a frame at 24 frames a second: nearer than that is the same moment
const ROUND_S = 0.0005; // times are told to a thousandth
const DASH = [7, 5]; // in widths of the line: what was not looked at is guessed, and drawn so

/**
 * Where a thing is; null where it is not there.
 * @param {Track} track
 * @param {number} seconds
 * @returns {Place | null}
 */
export function placeAt({ t_start, t_end, masks }, seconds) {
  if (!masks.length || seconds < t_start - ROUND_S || seconds >= t_end - ROUND_S) return null;
  const next = masks.findIndex((key) => key.seconds > seconds);
  const after = masks[next < 0 ? masks.length - 1 : next],
    before = masks[next < 0 ? masks.length - 1 : Math.max(0, next - 1)];
  const long = after.seconds - before.seconds,
    part = long ? (seconds - before.seconds) / long : 0;
  const key = part < 0.5 ? before : after;
  const box = /** @type {Box} */ (before.box.map((edge, i) => edge + part * (after.box[i] - edge)));
  return { key, box, exact: Math.abs(key.seconds - seconds) <= NEAR_S };
}

/** What moves one box onto another, both in pixels of a canvas. @param {Box} from @param {Box} to
 * @param {number} scale canvas pixels a pixel of the frame */
function moving([x0, y0, x1, y1], [to0, top, to1, bottom], scale) {
  const wide = (to1 - to0) / (x1 - x0 || 1),
    high = (bottom - top) / (y1 - y0 || 1);
  return new DOMMatrix([wide, 0, 0, high, scale * (to0 - wide * x0), scale * (top - high * y0)]);
}

/** A keyframe's outline is made once for each size. @type {WeakMap<Key, {width: number, path: Path2D}>} */
const made = new WeakMap();

/** @param {Key} key @param {number} width @param {number} height */
function pathOf(key, width, height) {
  let found = made.get(key);
  if (found?.width !== width) {
    found = { width, path: outline(key.mask, width, height) };
    made.set(key, found);
  }
  return found.path;
}

/**
 * Draw where a thing is, over a canvas that is cleared; whether there was something to draw. Lines are
 * whole at a keyframe, and dashed between two.
 * @param {HTMLCanvasElement} canvas
 * @param {Track | null} track
 * @param {number} seconds
 * @param {{width: number, height: number}} size that is shown, in pixels of the screen
 */
export function drawTrack(canvas, track, seconds, { width, height }) {
  const shrink = Math.min(1, MOST_PX / Math.max(width, height));
  const wide = Math.max(1, Math.round(width * shrink)),
    high = Math.max(1, Math.round(height * shrink));
  if (canvas.width !== wide) canvas.width = wide;
  if (canvas.height !== high) canvas.height = high;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.clearRect(0, 0, wide, high);
  const place = track && placeAt(track, seconds);
  if (!place) return false;
  const { key, box, exact } = place,
    path = new Path2D(),
    line = Math.max(2, Math.max(wide, high) / 420);
  path.addPath(pathOf(key, wide, high), moving(key.box, box, wide / key.mask.size[1]));
  context.lineJoin = "round";
  context.setLineDash(exact ? [] : DASH.map((length) => length * line));
  stroke(context, path, line);
  frameEdges(context, { box, mask: key.mask }, line);
  return true;
}

/** Regions as they are at a moment, of what the server says is seen then.
 * @param {{segment: any, at: Key}[]} seen */
export const regionsOf = (seen) =>
  seen.map(({ segment, at: { box, area, mask } }) => ({ ...segment, box, area, mask }));
