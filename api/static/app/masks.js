// COCO's compressed run lengths to what a page can draw and point at. Nothing is fetched here.

/** @import {Box, Mask, Segment} from "./types.d.ts" */

/** @typedef {{ends: Int32Array, box: Box}} Runs where runs end, and the box of what is inside */

/** A mask is read once, however often it is drawn or pointed at. @type {WeakMap<Mask, Runs>} */
const read = new WeakMap();

/** @param {Mask} mask */
function runsOf(mask) {
  let runs = read.get(mask);
  if (!runs) {
    const ends = decode(mask.counts);
    runs = { ends, box: boxOf(ends, mask.size[0]) };
    read.set(mask, runs);
  }
  return runs;
}

/**
 * Five bits a character, the lowest first; from the fourth run on what is written is the difference
 * to the run two before (rleFrString of cocoapi).
 * @param {string} counts
 */
function decode(counts) {
  const ends = new Int32Array(counts.length); // a run takes a character or more
  let runs = 0,
    sum = 0,
    last = 0,
    beforeLast = 0;
  for (let at = 0; at < counts.length;) {
    let value = 0,
      shift = 0,
      bits;
    do {
      bits = counts.charCodeAt(at++) - 48;
      value |= (bits & 31) << shift;
      shift += 5;
    } while (bits & 32);
    if (bits & 16) value |= -1 << shift;
    if (runs > 2) value += beforeLast;
    beforeLast = last;
    last = value;
    ends[runs++] = sum += value;
  }
  return ends.slice(0, runs);
}

/**
 * [0, 0, 0, 0] where nothing is inside.
 * @param {Int32Array} ends
 * @param {number} height
 * @returns {Box}
 */
function boxOf(ends, height) {
  let x0 = Infinity,
    y0 = Infinity,
    x1 = 0,
    y1 = 0;
  for (let run = 1; run < ends.length; run += 2) {
    const first = ends[run - 1],
      last = ends[run] - 1;
    if (last < first) continue;
    const left = Math.floor(first / height),
      right = Math.floor(last / height);
    x0 = Math.min(x0, left);
    x1 = right + 1;
    y0 = left < right ? 0 : Math.min(y0, first - left * height);
    y1 = left < right ? height : Math.max(y1, last - right * height + 1);
  }
  return x1 ? [x0, y0, x1, y1] : [0, 0, 0, 0];
}

/**
 * Where runs end, as positions in the column-major frame; zeros first, then ones, in turn.
 * @param {Mask} mask
 * @returns {Int32Array}
 */
export function runEnds(mask) {
  return runsOf(mask).ends;
}

/**
 * 1 inside and 0 outside, row by row, for the frame shrunk or enlarged to width x height: a pixel is
 * what lies under its middle.
 * @param {Mask} mask
 * @param {number} width
 * @param {number} height
 */
export function sample(mask, width, height) {
  return sampleWindow(mask, width, height, [0, 0, width, height]);
}

/**
 * The part of `sample` in a window, which may be larger than the frame and holds all that is inside.
 * @param {Mask} mask
 * @param {number} width
 * @param {number} height
 * @param {Box} window
 */
function sampleWindow(mask, width, height, [left, top, right, bottom]) {
  const stride = right - left;
  const inside = new Uint8Array(stride * (bottom - top));
  const [fullHeight, fullWidth] = mask.size;
  const { ends, box } = runsOf(mask);
  const rows = firstAtOrAfter(fullHeight, height),
    columns = firstAtOrAfter(fullWidth, width);
  let run = 1;
  for (let x = columns[box[0]]; x < columns[box[2]]; x++) {
    const start = Math.floor(((x + 0.5) * fullWidth) / width) * fullHeight;
    // A run may reach into the next column, so the search goes on at the last one that began here.
    while (run < ends.length && ends[run] <= start) run += 2;
    for (let one = run; one < ends.length && ends[one - 1] < start + fullHeight; one += 2) {
      const first = rows[Math.max(ends[one - 1] - start, 0)] - top;
      const end = (rows[Math.min(ends[one] - start, fullHeight)] - top) * stride;
      for (let at = first * stride + x - left; at < end; at += stride) inside[at] = 1;
    }
  }
  return inside;
}

/**
 * For each place along `full` pixels, and the end, the first of `count` pixels whose middle lies there
 * or after.
 * @param {number} full
 * @param {number} count
 */
function firstAtOrAfter(full, count) {
  const first = new Int32Array(full + 1).fill(count);
  for (let at = count - 1; at >= 0; at--) first[Math.floor(((at + 0.5) * full) / count)] = at;
  for (let place = full - 1; place >= 0; place--) first[place] = Math.min(first[place], first[place + 1]);
  return first;
}

/**
 * The outline of a mask on width x height pixels: closed loops through the middles of the edges
 * between inside and outside, holes the other way round, so that it can be stroked, filled, clipped
 * with and dimmed around. Empty where no pixel's middle is inside.
 * @param {Mask} mask
 * @param {number} width
 * @param {number} height
 */
export function outline(mask, width, height) {
  const path = new Path2D();
  for (const corners of loops(mask, width, height)) {
    corners.forEach(([x, y], i) => {
      const [nextX, nextY] = corners[(i + 1) % corners.length];
      const stepX = Math.sign(nextX - x) / 2,
        stepY = Math.sign(nextY - y) / 2;
      // Of a straight stretch the first edge and the last.
      if (i) path.lineTo(x + stepX, y + stepY);
      else path.moveTo(x + stepX, y + stepY);
      path.lineTo(nextX - stepX, nextY - stepY);
    });
    path.closePath();
  }
  return path;
}

/**
 * A mask as the path of an SVG, along the edges of its pixels; filled by the even-odd rule it covers
 * them and no others.
 * @param {Mask} mask
 */
export const svgPath = (mask) =>
  loops(mask, mask.size[1], mask.size[0])
    .map(
      ([[x, y], ...corners]) =>
        `M${x} ${y}${corners.map((corner, i) => (i % 2 ? `V${corner[1]}` : `H${corner[0]}`)).join("")}Z`,
    )
    .join("");

/**
 * The corners of a mask on width x height pixels, loop by loop from a first step to the right.
 * @param {Mask} mask
 * @param {number} width
 * @param {number} height
 */
function loops(mask, width, height) {
  const [fullHeight, fullWidth] = mask.size;
  const [x0, y0, x1, y1] = runsOf(mask).box;
  const rows = firstAtOrAfter(fullHeight, height),
    columns = firstAtOrAfter(fullWidth, width);
  // With a pixel of outside all around.
  const left = columns[x0] - 1,
    top = rows[y0] - 1,
    right = columns[x1] + 1,
    bottom = rows[y1] + 1;
  const inside = sampleWindow(mask, width, height, [left, top, right, bottom]);
  const stride = right - left;
  const started = new Uint8Array(inside.length);
  /** @type {[number, number][][]} */
  const found = [];
  for (let at = stride; at < inside.length - stride; at++) {
    if (inside[at] && !inside[at - stride] && !started[at]) {
      found.push(
        follow(at, stride, inside, started).map((corner) => [
          left + (corner % stride),
          top + Math.floor(corner / stride),
        ]),
      );
    }
  }
  return found;
}

/**
 * Goes once around from the upper edge of a pixel, the inside on the right; pixels that touch at a
 * corner alone stay apart. Upper edges on the way are marked, so that no loop is gone twice.
 *
 * A corner has the number of the pixel to its lower right; those where it turns come back.
 * @param {number} start
 * @param {number} stride
 * @param {Uint8Array} inside
 * @param {Uint8Array} started
 */
function follow(start, stride, inside, started) {
  // East, south, west, north: a step, and from where it ends what lies ahead to the left and right.
  const steps = [1, stride, -1, -stride];
  const onLeft = [-stride, 0, -1, -stride - 1],
    onRight = [0, -1, -stride - 1, -stride];
  /** @type {number[]} */
  const corners = [];
  let corner = start,
    direction = 0,
    before = -1;
  do {
    if (direction === 0) started[corner] = 1;
    if (before !== direction) corners.push(corner);
    corner += steps[direction];
    before = direction;
    if (!inside[corner + onRight[direction]]) direction = (direction + 1) % 4;
    else if (inside[corner + onLeft[direction]]) direction = (direction + 3) % 4;
  } while (corner !== start || direction !== 0);
  return corners;
}

/**
 * All regions at a point of the upright image, the smallest first; none outside of it.
 * @template {Pick<Segment, "area" | "box" | "mask">} Region
 * @param {readonly Region[]} segments
 * @param {number} x in pixels from the left, fractions too
 * @param {number} y in pixels from the top
 * @returns {Region[]}
 */
export function regionsAt(segments, x, y) {
  const column = Math.floor(x),
    row = Math.floor(y);
  return segments
    .filter(({ box, mask }) => {
      const [x0, y0, x1, y1] = box;
      if (column < x0 || column >= x1 || row < y0 || row >= y1) return false;
      return runAt(runEnds(mask), column * mask.size[0] + row) % 2 === 1;
    })
    .sort((a, b) => a.area - b.area);
}

/**
 * Whether one box holds another, of a smaller region.
 * @param {Pick<Segment, "area" | "box">} outer
 * @param {Pick<Segment, "area" | "box">} inner
 */
export function holds(outer, inner) {
  const [x0, y0, x1, y1] = outer.box,
    [a0, b0, a1, b1] = inner.box,
    slack = 2;
  return (
    outer !== inner &&
    outer.area > inner.area &&
    x0 - slack <= a0 &&
    y0 - slack <= b0 &&
    x1 + slack >= a1 &&
    y1 + slack >= b1
  );
}

/**
 * The run that holds a position: the first that ends after it.
 * @param {Int32Array} ends
 * @param {number} position
 */
function runAt(ends, position) {
  let low = 0,
    high = ends.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ends[middle] > position) high = middle;
    else low = middle + 1;
  }
  return low;
}
