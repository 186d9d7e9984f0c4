// A picture that can be zoomed and moved: the wheel and two fingers zoom, a drag moves. Pure numbers;
// `x`, `y` are where the picture's top left lies in the frame, in CSS pixels, `scale` CSS pixels a
// pixel of the upright picture.

/** @typedef {{scale: number, x: number, y: number}} Place @typedef {{width: number, height: number}} Size */

const MOST = 8; // CSS pixels a pixel of the picture

/** The whole picture in the middle of the frame; a small one is not blown up beyond twice its size.
 * @param {Size} picture @param {Size} frame @returns {Place} */
export function fit(picture, frame) {
  const scale = Math.min(
    frame.width / picture.width,
    frame.height / picture.height,
    2 + 240 / Math.max(picture.width, picture.height),
  );
  return {
    scale,
    x: (frame.width - picture.width * scale) / 2,
    y: (frame.height - picture.height * scale) / 2,
  };
}

/** The place kept in bounds: no emptiness beside a picture that is larger than the frame, and a smaller
 * one in the middle. @param {Place} place @param {Size} picture @param {Size} frame @returns {Place} */
export function bounded({ scale, x, y }, picture, frame) {
  const along = (/** @type {number} */ at, /** @type {number} */ size, /** @type {number} */ room) =>
    size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, at));
  return {
    scale,
    x: along(x, picture.width * scale, frame.width),
    y: along(y, picture.height * scale, frame.height),
  };
}

/** Zoomed by a factor about a point of the frame. @param {Place} place @param {number} factor
 * @param {{x: number, y: number}} about @param {Size} picture @param {Size} frame @returns {Place} */
export function zoomed(place, factor, about, picture, frame) {
  const least = fit(picture, frame).scale;
  const scale = Math.min(Math.max(MOST, least), Math.max(least, place.scale * factor));
  const ratio = scale / place.scale;
  return bounded(
    { scale, x: about.x - (about.x - place.x) * ratio, y: about.y - (about.y - place.y) * ratio },
    picture,
    frame,
  );
}
