/** Drawings of the kinds that the embedded checkpoint knows, made from a seed, with questions and their right answers. */

export { type FreshDrawing, freshDrawing, KINDS } from "./drawings/fresh.js";
export { markAt, markHeight } from "./drawings/mark.js";
export type { Turn } from "./drawings/objects.js";
export { type Color, type Digit, type Figure, type Painted, paintOver } from "./drawings/paint.js";
export type { SceneKind } from "./drawings/scenes.js";
export { trafficLightDrawing } from "./drawings/traffic-light.js";
