// The text of the open picture, in the order of reading: its lines lead to their regions, and are marked
// in the picture while they are pointed at.

import { html, useEffect, useRef } from "../vendor/preact.js";
import { copied, IconButton, notify } from "./ui.js";

/** @typedef {import("./items.js").Line} Line */

/** What a region that is no thing is called. @type {Record<string, string>} */
export const KINDS = {
  text: "Text",
  heading: "Heading",
  paragraph: "Paragraph",
  cell: "Table cell",
  figure: "Figure",
};

/** The lines of a picture that belong to a region. @param {Line[]} lines @param {number} region */
export const linesOf = (lines, region) =>
  lines.filter(({ segment_id, element_id }) => region && (segment_id === region || element_id === region));

/** The line of text at a point of the picture; undefined for none.
 * @param {Line[]} lines @param {{x: number, y: number}} point in pixels */
export const lineAt = (lines, { x, y }) =>
  lines.find(({ corners }) => {
    const inside = corners.map(([x0, y0], i) => {
      const [x1, y1] = corners[(i + 1) % 4];
      return (x1 - x0) * (y - y0) >= (y1 - y0) * (x - x0);
    });
    return inside.every((is) => is === inside[0]);
  });

// Writing that may run downwards; what is turned in another one is read along the line all the same.
const DOWNWARDS = /\p{sc=Han}|\p{sc=Hira}|\p{sc=Kana}|\p{sc=Hang}|\p{sc=Bopo}|\p{sc=Mong}/u;
/** @param {Line} line */
const isUpright = ({ text, corners: [[x0, y0], [x1, y1]] }) =>
  Math.abs(y1 - y0) > Math.abs(x1 - x0) && DOWNWARDS.test(text);

/** Lines as they stand together: those of one element, or of one region. @param {Line[]} lines */
function together(lines) {
  /** @type {{key: string, upright: boolean, lines: Line[]}[]} */
  const groups = [];
  for (const line of lines) {
    const upright = isUpright(line),
      key = `${line.element_id ?? line.segment_id}${upright}`;
    const last = groups[groups.length - 1];
    if (last?.key === key) last.lines.push(line);
    else groups.push({ key, upright, lines: [line] });
  }
  return groups;
}

/**
 * @typedef {object} Reading how lines are shown, and told of
 * @property {number} pointed the place of the line that is pointed at, here or in the picture; 0 for none
 * @property {(position: number) => void} onPoint
 * @property {(region: number) => void} onChoose
 * @property {import("./items.js").Region[]} segments the picture's regions
 */

/**
 * Lines of text that can be selected and copied.
 * @param {Reading & {title: any, label: string, lines: Line[]}} props
 */
export function Words({ title, label, lines, segments, pointed, onPoint, onChoose }) {
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    list.current?.querySelector(".on")?.scrollIntoView({ block: "nearest" });
  }, [pointed]);
  const copy = async () => {
    getSelection()?.selectAllChildren(/** @type {HTMLElement} */ (list.current));
    if (await copied(lines.map(({ text }) => text).join("\n"))) notify("The text is copied.");
    else notify("Copy it by hand: it is selected.", { bad: true });
  };
  return html`<div class="words-title">${title}<${IconButton} icon="copy" label=${`Copy ${label}`} onClick=${copy} /></div>
    <div class="words-read" ref=${list}>${together(lines).map(({ upright, lines: some }) => {
      const [{ position, segment_id: smallest, element_id: element }] = some;
      const kind = segments.find(({ segment_id }) => segment_id === (element ?? smallest))?.kind ?? "";
      const running = kind === "paragraph"; // its lines end where the page was full
      return html`<p key=${position} dir="auto" class=${`of-${kind}${upright ? " upright" : ""}`}>${some.map(
        (line) => {
          const region = line.segment_id ?? line.element_id;
          // No real link: browsers let nobody begin a selection in one.
          const leads = region && {
            role: "link",
            tabindex: 0,
            onClick: () => getSelection()?.isCollapsed && onChoose(region),
            onKeyDown: (/** @type {KeyboardEvent} */ event) => event.key === "Enter" && onChoose(region),
          };
          return html`<span key=${line.position} dir=${running ? undefined : "auto"} class=${line.position === pointed ? "on" : ""}
            onPointerEnter=${() => onPoint(line.position)} onPointerLeave=${() => onPoint(0)}
            onFocus=${() => onPoint(line.position)} onBlur=${() => onPoint(0)} ...${leads}>${line.text}</span> `;
        },
      )}</p>`;
    })}</div>`;
}
