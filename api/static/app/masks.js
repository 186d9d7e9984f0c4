// COCO's compressed run lengths to what a canvas can draw. A mask is {size: [H, W], counts}.

const DIM = "rgba(8, 14, 20, 0.6)";
const EDGE = "#ffb000";
const HALO = "rgba(0, 0, 0, 0.75)";
// Okabe & Ito: told apart by colour-blind people too.
const PALETTE = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"];

/** Where runs end, as positions in the column-major frame; zeros first, then ones, in turn. */
export function runEnds({ counts }) {
  const runs = [];
  let at = 0;
  while (at < counts.length) {
    let value = 0, shift = 0, more = true;
    while (more) {
      const bits = counts.charCodeAt(at++) - 48;
      value |= (bits & 31) << shift;
      more = (bits & 32) !== 0;
      shift += 5;
      if (!more && bits & 16) value |= -1 << shift;
    }
    runs.push(runs.length > 2 ? value + runs[runs.length - 2] : value);
  }
  let sum = 0;
  return Float64Array.from(runs, (run) => (sum += run));
}

/** 1 inside and 0 outside, row by row, for the frame shrunk to width x height. */
export function sample(mask, width, height) {
  const [fullHeight, fullWidth] = mask.size;
  const ends = runEnds(mask);
  const inside = new Uint8Array(width * height);
  let run = 0;
  // Both loops go up, so positions do too and the runs are passed through once.
  for (let x = 0; x < width; x++) {
    const column = Math.floor(((x + 0.5) * fullWidth) / width) * fullHeight;
    for (let y = 0; y < height; y++) {
      const position = column + Math.floor(((y + 0.5) * fullHeight) / height);
      while (run < ends.length && ends[run] <= position) run++;
      inside[y * width + x] = run & 1;
    }
  }
  return inside;
}

/** A canvas of width x height with the mask filled in one colour. */
function stencil(mask, width, height, colour) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  sample(mask, width, height).forEach((one, i) => { image.data[4 * i + 3] = 255 * one; });
  context.putImageData(image, 0, 0);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = colour;
  context.fillRect(0, 0, width, height);
  return canvas;
}

/** A ring around the mask: the stencil pushed outwards in all directions, less the stencil. */
function ring(shape, radius, colour) {
  const canvas = new OffscreenCanvas(shape.width, shape.height);
  const context = canvas.getContext("2d");
  for (let step = 0; step < 16; step++) {
    const angle = (step * Math.PI) / 8;
    context.drawImage(shape, radius * Math.cos(angle), radius * Math.sin(angle));
  }
  context.globalCompositeOperation = "source-in";
  context.fillStyle = colour;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.globalCompositeOperation = "destination-out";
  context.drawImage(shape, 0, 0);
  return canvas;
}

/** Everything but the region darkened, the region outlined; a small one gets a frame around it. */
export function drawRegion(canvas, { mask, box }, width, height) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const shape = stencil(mask, width, height, EDGE);
  const line = Math.max(1.5, Math.max(width, height) / 130);
  context.fillStyle = DIM;
  context.fillRect(0, 0, width, height);
  context.globalCompositeOperation = "destination-out";
  context.drawImage(shape, 0, 0);
  context.globalCompositeOperation = "source-over";
  context.drawImage(ring(shape, line * 1.6, HALO), 0, 0);
  context.drawImage(ring(shape, line, EDGE), 0, 0);
  frameSmall(context, box, mask.size, line);
  // A region that fills the picture has nothing outside to be seen by.
  const [x0, y0, x1, y1] = box;
  if (x0 === 0 && y0 === 0 && x1 === mask.size[1] && y1 === mask.size[0]) {
    context.strokeStyle = EDGE;
    context.lineWidth = 2 * line;
    context.strokeRect(0, 0, width, height);
  }
}

function frameSmall(context, [x0, y0, x1, y1], [fullHeight, fullWidth], line) {
  const { width, height } = context.canvas;
  const scale = width / fullWidth;
  const longer = Math.max(x1 - x0, y1 - y0) * scale;
  if (longer > 0.12 * Math.max(width, height)) return;
  const x = ((x0 + x1) / 2) * scale, y = (((y0 + y1) / 2) * height) / fullHeight;
  const reach = longer / 2 + 0.05 * Math.max(width, height);
  for (const [colour, thickness] of [[HALO, 2.6 * line], [EDGE, 1.2 * line]]) {
    context.strokeStyle = colour;
    context.lineWidth = thickness;
    context.beginPath();
    context.arc(x, y, reach, 0, 2 * Math.PI);
    context.stroke();
  }
}

/** Every region tinted and outlined in a colour of its own, large ones first. */
export function drawAll(canvas, segments, width, height) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const ordered = [...segments].sort((a, b) => b.area - a.area);
  ordered.forEach(({ mask }, number) => {
    const colour = PALETTE[number % PALETTE.length];
    const shape = stencil(mask, width, height, colour);
    context.globalAlpha = 0.3;
    context.drawImage(shape, 0, 0);
    context.globalAlpha = 1;
    context.drawImage(ring(shape, Math.max(1.5, width / 400), colour), 0, 0);
  });
}

/** The smallest region under a point, given as shares of width and height; undefined for none. */
export function regionAt(segments, shareX, shareY) {
  return [...segments].sort((a, b) => a.area - b.area).find(({ mask }) => {
    const [height, width] = mask.size;
    const position = Math.floor(shareX * width) * height + Math.floor(shareY * height);
    return runEnds(mask).findIndex((end) => end > position) % 2 === 1;
  });
}

/** Every region under a point, the smallest first; the point is given as shares of width and height. */
export function regionsAt(segments, shareX, shareY) {
  return segments.filter(({ mask }) => {
    const [height, width] = mask.size;
    const position = Math.floor(shareX * width) * height + Math.floor(shareY * height);
    const ends = runEnds(mask);
    let low = 0, high = ends.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ends[middle] > position) high = middle; else low = middle + 1;
    }
    return low % 2 === 1;
  }).sort((a, b) => a.area - b.area);
}
