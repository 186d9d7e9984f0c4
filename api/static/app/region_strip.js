// The regions of the open picture as a film strip: one Tab stop, the arrow keys walk.

import { html, useEffect, useRef } from "../vendor/preact.js";
import { cutout } from "./api.js";
import { share } from "./sayings.js";

/** @typedef {import("./items.js").Region} Region */

const STRIP = 60; // regions in it; all are under the pointer

/**
 * The largest first.
 * @param {{image: {width: number, height: number}, segments: Region[], chosen: any,
 *   onChoose: (region: Region) => void}} props
 */
export function RegionStrip({ image, segments, chosen, onChoose }) {
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const pressed = list.current?.querySelector("[aria-pressed=true]");
    pressed?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [chosen?.segment_id, segments]);
  const largest = [...segments].sort((a, b) => b.area - a.area).slice(0, STRIP);
  const at = Math.max(
    0,
    largest.findIndex(({ segment_id }) => segment_id === chosen?.segment_id),
  );
  const keys = (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const target =
      step && event.target instanceof Element ? event.target.closest("button")?.parentElement : null;
    const to = step === 1 ? target?.nextElementSibling : target?.previousElementSibling;
    const button = step ? to?.querySelector("button") : null;
    if (!button) return;
    event.preventDefault();
    button.focus();
    button.click();
  };
  return html`<ul class="strip-of-regions" ref=${list} aria-label=${`Regions, ${segments.length} in all`} onKeyDown=${keys}>
    ${largest.map(
      (region, i) => html`<li key=${region.segment_id}><button type="button" tabindex=${i === at ? 0 : -1}
      aria-pressed=${String(region.segment_id === chosen?.segment_id)} aria-label=${`Region ${i + 1}, ${share(region.area / (image.width * image.height))} of the picture`}
      onClick=${() => onChoose(region)}><img alt="" loading="lazy" src=${cutout(region.segment_id, 160)} /></button></li>`,
    )}
  </ul>`;
}
