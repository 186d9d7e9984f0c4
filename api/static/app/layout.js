// Justified rows: pictures of one height a row, the window's width filled, nothing cropped. Pure.

/**
 * @typedef {object} Cell Where an item stands, in CSS pixels from the top left of the grid.
 * @property {number} index of the item; -1 for a heading
 * @property {number} x
 * @property {number} y
 * @property {number} width
 * @property {number} height
 *
 * @typedef {object} Row
 * @property {number} y
 * @property {number} height
 * @property {Cell[]} cells
 * @property {string} [heading] above the items from here on
 *
 * @typedef {{rows: Row[], height: number, rowOf: Int32Array}} Layout `rowOf[i]` is the row of item i
 */

export const HEADING_PX = 44;
const WIDEST = 5; // times the height; a longer panorama gets a row of its own that is lower
const NARROWEST = 0.36; // an even narrower picture is shown in the middle of a cell that is this wide

/**
 * The ratio of width to height that a cell has for a picture.
 * @param {number} width
 * @param {number} height
 */
export const ratio = (width, height) =>
  Math.min(WIDEST, Math.max(NARROWEST, width > 0 && height > 0 ? width / height : 4 / 3));

/** How high rows are in a window of some width. @param {number} width in CSS pixels */
export const rowHeight = (width) => (width < 480 ? 150 : width < 1000 ? 190 : width < 1700 ? 220 : 250);

/**
 * @param {{ratio: number, heading?: string}[]} items
 * @param {{width: number, target: number, gap: number}} frame all in CSS pixels
 * @returns {Layout}
 */
export function justify(items, { width, target, gap }) {
  /** @type {Row[]} */
  const rows = [];
  const rowOf = new Int32Array(items.length);
  let y = 0,
    first = 0,
    sum = 0;
  /** @param {number} end @param {number} height */
  const close = (end, height) => {
    let x = 0;
    /** @type {Cell[]} */
    const cells = [];
    for (let index = first; index < end; index++) {
      const last = index === end - 1;
      const natural = height * items[index].ratio;
      // The last of a full row takes what rounding left over.
      const cell = last && Math.abs(x + natural - width) < 2 ? width - x : Math.min(natural, width);
      rowOf[index] = rows.length;
      cells.push({ index, x, y, width: cell, height });
      x += cell + gap;
    }
    rows.push({ y, height, cells });
    y += height + gap;
    first = end;
    sum = 0;
  };
  items.forEach((item, index) => {
    if (item.heading !== undefined) {
      if (index > first) close(index, lastHeight(sum, index - first));
      rows.push({ y, height: HEADING_PX, cells: [], heading: item.heading });
      y += HEADING_PX;
    }
    const room = width - gap * (index - first);
    // Closed before an item where the row is nearer to the wanted height without it.
    if (index > first) {
      const without = (room + gap) / sum,
        withIt = room / (sum + item.ratio);
      if (withIt < target && without - target < target - withIt) close(index, without);
    }
    sum += item.ratio;
    const height = (width - gap * (index - first)) / sum;
    if (height <= target) close(index + 1, height);
  });
  if (items.length > first) close(items.length, lastHeight(sum, items.length - first));
  return { rows, height: Math.max(0, y - gap), rowOf };

  /** A row that is not full keeps the wanted height. @param {number} ratios @param {number} count */
  function lastHeight(ratios, count) {
    return Math.min(target, (width - gap * (count - 1)) / ratios);
  }
}

/**
 * The rows that lie between two heights, as [first, end).
 * @param {Row[]} rows
 * @param {number} top
 * @param {number} bottom
 */
export function between(rows, top, bottom) {
  let low = 0,
    high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle].y + rows[middle].height < top) low = middle + 1;
    else high = middle;
  }
  let end = low;
  while (end < rows.length && rows[end].y <= bottom) end++;
  return [low, end];
}
