// The whole picture above its regions: what is drawn over it, and what a click or Enter points at.

import { call } from "./api.js";
import { nameOf } from "./cards.js";
import { steer } from "./crosshair.js";
import { $, say } from "./dom.js";

/** The whole picture, `draw` over it once it is there, and again by what is returned. What is pointed
 * at goes to `act`, in shares of the sides; `label` says what is drawn, and the crosshair stands at
 * `start` first; with `focused` the keys are on it. */
export function showWhole(image, { draw, act, label, focused, start = [0.5, 0.5] }) {
  const whole = $("whole-picture"), canvas = $("whole-masks");
  canvas.width = 0; // no masks of the picture before, should this one's file be gone
  const paint = () => draw(canvas, whole.naturalWidth, whole.naturalHeight);
  whole.onload = paint;
  whole.onerror = () => call(whole.src).catch(({ code, message }) => {
    if (code === "picture_error") say(message, true); // its file is gone
  });
  const frame = whole.parentElement; // as large as the picture will be, so that nothing jumps
  frame.style.aspectRatio = `${image.width} / ${image.height}`;
  frame.style.width = `min(100%, 760px, ${(70 * image.width) / image.height}vh)`;
  whole.alt = nameOf(image.paths[0]);
  whole.src = `v1/images/${image.image_id}/thumbnail?side=1024`;
  canvas.onclick = (event) => act(event.offsetX / canvas.clientWidth, event.offsetY / canvas.clientHeight);
  canvas.setAttribute("aria-label", label);
  steer(canvas, $("crosshair"), start, act);
  $("whole").hidden = false;
  if (focused && document.activeElement === document.body) canvas.focus({ preventScroll: true });
  return () => { if (whole.complete && whole.naturalWidth) paint(); };
}
