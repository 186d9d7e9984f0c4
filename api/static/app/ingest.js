// STUB
export const AddMenu = () => null;
export const Working = () => null;
/** @param {DataTransfer} _data */
export function addAll(_data) {}
/** @param {() => void} _changed */
export function followJobs(_changed) { return () => {}; }
export const chooseFiles = () => {};
export const chooseFolder = () => {};
