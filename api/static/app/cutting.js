// What was cut out afresh as files: the server keeps no such mask, so the browser draws them.

import { original } from "./api.js";
import { saveBlob } from "./exporting.js";
import { sample, svgPath } from "./masks.js";

/** @typedef {{mask: {size: [number, number], counts: string}, box: [number, number, number, number]}} Cut */

/** Formats that browsers decode upright; others come as PNG. */
export const SHOWN = new Set(["JPEG", "MPO", "PNG", "WEBP", "GIF", "AVIF", "BMP"]);

/** The mask over the whole picture: white inside, black outside. @param {Cut} cut */
function maskCanvas({ mask }) {
  const [height, width] = mask.size;
  const canvas = new OffscreenCanvas(width, height);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const image = context.createImageData(width, height);
  const inside = sample(mask, width, height),
    words = new Uint32Array(image.data.buffer);
  for (let i = 0; i < inside.length; i++) words[i] = inside[i] ? 0xffffffff : 0xff000000;
  context.putImageData(image, 0, 0);
  return canvas;
}

/**
 * The region alone, as large as its box, clear around it.
 * @param {Cut} cut
 * @param {{image_id: number, format: string}} image
 */
async function cutoutCanvas({ mask, box: [x0, y0, x1, y1] }, image) {
  const picture = new Image();
  picture.src = original(image.image_id, SHOWN.has(image.format));
  await picture.decode();
  const [height, width] = mask.size,
    inside = sample(mask, width, height);
  const canvas = new OffscreenCanvas(x1 - x0, y1 - y0);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.drawImage(picture, -x0, -y0, width, height);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) {
      if (!inside[y * width + x]) pixels.data[4 * ((y - y0) * canvas.width + x - x0) + 3] = 0;
    }
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

/**
 * Save what was cut out.
 * @param {Cut} cut
 * @param {{image_id: number, format: string}} image
 * @param {"cutout" | "mask" | "svg" | "coco"} kind
 * @param {string} stem how the file's name begins
 */
export async function saveCut(cut, image, kind, stem) {
  if (kind === "coco") {
    const { mask, box, area } = /** @type {any} */ (cut);
    const [x0, y0, x1, y1] = box;
    const text = JSON.stringify({ segmentation: mask, bbox: [x0, y0, x1 - x0, y1 - y0], area, iscrowd: 0 });
    return saveBlob(new Blob([text], { type: "application/json" }), `${stem}-cut-mask.json`);
  }
  if (kind === "svg") {
    const [height, width] = cut.mask.size;
    const text =
      `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ` +
      `${height}"><path fill="currentColor" fill-rule="evenodd" d="${svgPath(cut.mask)}"/></svg>`;
    return saveBlob(new Blob([text], { type: "image/svg+xml" }), `${stem}-cut-mask.svg`);
  }
  const canvas = kind === "mask" ? maskCanvas(cut) : await cutoutCanvas(cut, image);
  return saveBlob(await canvas.convertToBlob({ type: "image/png" }), `${stem}-cut-${kind}.png`);
}
