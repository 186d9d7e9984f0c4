// STUB
export const SelectionBar = () => null;
/** @param {number[]} _images @param {import("./results.js").Results | null} _results */
export function removeImages(_images, _results) {}
