// STUB
import { html } from "../vendor/preact.js";
import { Answers } from "./answers.js";
/** @param {{now: any}} props */
export const Library = ({ now }) => html`<${Answers} now=${now} />`;
