// The types of preact.js, from the packages that its files were taken from.

import type { VNode } from "preact";

export * from "preact";
export * from "preact/hooks";
// Not unknown: a view returns what it makes, and several roots are an array to htm alone.
export const html: (strings: TemplateStringsArray, ...values: unknown[]) => VNode;
