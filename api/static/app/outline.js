// Regions drawn over a picture: outlined with a halo, the rest dimmed; lines of text: underlined. Many
// cards share the time that is left of a frame.

import { outline } from "./masks.js";

export const EDGE = "#ffb000"; // legible on pictures and on both themes, with its halo
const HALO = "rgba(0, 0, 0, 0.75)";
const WASH = "rgba(255, 176, 0, 0.3)"; // over words, which stay legible
const DIM = "rgba(8, 14, 20, 0.55)";
const FRAME_MS = 5; // of drawing, in a frame
export const MOST_PX = 1400; // of a side that is drawn
const RULE = 0.09, // of a line's height
  LEAST_PX = 0.7; // of that
const SMALL = 0.09; // of the longer side: smaller regions get a ring around them

/** @typedef {import("./items.js").Region} Region @typedef {import("./items.js").Line} Line */

/** A halo, and the line over it. @param {CanvasRenderingContext2D} context @param {Path2D} path
 * @param {number} line */
export function stroke(context, path, line) {
  for (const [colour, thickness] of /** @type {const} */ ([
    [HALO, 2.6],
    [EDGE, 1.4],
  ])) {
    context.strokeStyle = colour;
    context.lineWidth = thickness * line;
    context.stroke(path);
  }
}

/**
 * Draw regions into a canvas of width x height pixels. The first is outlined strongest.
 * @param {HTMLCanvasElement} canvas
 * @param {Region[]} regions
 * @param {{width: number, height: number, line?: number, dim?: boolean, words?: Line[],
 *   pointed?: Line, box?: number[]}} how `line` in canvas pixels; without `dim` the rest of the
 *   picture stays as it is; `words` are lines of text, and `pointed` is one that is framed, too; `box`
 *   is what of the picture is shown, x0, y0, x1, y1 in its pixels, where there are such
 */
export function drawRegions(
  canvas,
  regions,
  { width, height, line = 2, dim = true, words = [], pointed, box = [0, 0, 1, 1] },
) {
  const shrink = Math.min(1, MOST_PX / Math.max(width, height));
  canvas.width = Math.max(1, Math.round(width * shrink));
  canvas.height = Math.max(1, Math.round(height * shrink));
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const paths = regions.map(({ mask }) => outline(mask, canvas.width, canvas.height));
  context.lineJoin = "round";
  if (dim) {
    context.fillStyle = DIM;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.globalCompositeOperation = "destination-out";
    context.fillStyle = "#000";
    for (const path of paths) context.fill(path);
    context.globalCompositeOperation = "source-over";
  }
  for (let i = paths.length - 1; i >= 0; i--) {
    const thick = (i ? 0.6 : 1) * line * shrink;
    stroke(context, paths[i], thick);
    frameEdges(context, regions[i], thick);
  }
  const scale = canvas.width / (box[2] - box[0]);
  const others = words.filter(({ position }) => position !== pointed?.position);
  for (const one of pointed ? [...others, pointed] : words) {
    const corners = one.corners.map(([x, y]) => [scale * (x - box[0]), scale * (y - box[1])]);
    underline(context, corners, line * shrink, one === pointed);
  }
}

/**
 * Mark a line of text: a wash over it, and a rule along its foot, which no region has.
 * @param {CanvasRenderingContext2D} context
 * @param {number[][]} corners of the line, in canvas pixels
 * @param {number} most how thick
 * @param {boolean} framed
 */
function underline(context, corners, most, framed) {
  const [[left, top], , end, start] = corners,
    high = Math.hypot(start[0] - left, start[1] - top) || 1,
    line = Math.max(LEAST_PX, Math.min(most, RULE * high)); // small print is not covered
  // Below the foot in the sense of the writing, so that the rule strikes out no letter.
  const x = (1.2 * line * (start[0] - left)) / high,
    y = (1.2 * line * (start[1] - top)) / high;
  const path = new Path2D(),
    frame = new Path2D();
  for (const [across, down] of corners) frame.lineTo(across, down);
  frame.closePath();
  path.moveTo(start[0] + x, start[1] + y);
  path.lineTo(end[0] + x, end[1] + y);
  context.fillStyle = WASH;
  context.fill(frame);
  if (framed) stroke(context, frame, 0.65 * line);
  stroke(context, path, 1.3 * line);
}

/** What an outline cannot show: a region that fills the picture, and one too small to be seen.
 * @param {CanvasRenderingContext2D} context @param {Pick<Region, "box" | "mask">} region
 * @param {number} line */
export function frameEdges(context, { box: [x0, y0, x1, y1], mask }, line) {
  const { width, height } = context.canvas,
    [fullHeight, fullWidth] = mask.size,
    scale = width / fullWidth;
  if (x0 === 0 && y0 === 0 && x1 === fullWidth && y1 === fullHeight) {
    context.strokeStyle = EDGE;
    context.lineWidth = 2 * line;
    context.strokeRect(0, 0, width, height);
    return;
  }
  const longer = Math.max(x1 - x0, y1 - y0) * scale;
  if (longer > SMALL * Math.max(width, height)) return;
  const ring = new Path2D(),
    x = ((x0 + x1) / 2) * scale,
    y = (((y0 + y1) / 2) * height) / fullHeight;
  ring.arc(x, y, longer / 2 + 0.04 * Math.max(width, height), 0, 2 * Math.PI);
  stroke(context, ring, line);
}

/** @type {Map<HTMLCanvasElement, () => void>} */
const waiting = new Map();
let running = 0;

function drawSome() {
  const started = performance.now();
  for (const [canvas, draw] of waiting) {
    waiting.delete(canvas);
    try {
      if (canvas.isConnected) draw();
    } catch (problem) {
      console.error(problem); // a mask that cannot be drawn keeps no other from being drawn
    }
    if (performance.now() - started > FRAME_MS) break;
  }
  running = waiting.size ? requestAnimationFrame(drawSome) : 0;
}

/** Draw when there is time; what was to be drawn into the same canvas before is forgotten.
 * @param {HTMLCanvasElement} canvas @param {() => void} draw */
export function drawSoon(canvas, draw) {
  waiting.delete(canvas);
  waiting.set(canvas, draw);
  if (!running) running = requestAnimationFrame(drawSome);
}
