// Names of what goes between the page's modules: the API's documents, made from OpenAPI by
// `make check`. In a module: /** @import {Hit} from "./types.d.ts" */

export type * from "segsearch/openapi";
export type {
  CocoMask as Mask,
  HitDocument as Hit,
  JobDocument as Job,
  SegmentDocument as Segment,
  StatusDocument as Status,
} from "segsearch/openapi";

/** Pixels of the upright image, half-open. */
export type Box = [x0: number, y0: number, x1: number, y1: number];
