import type { Scene, Turn } from "./objects.js";
import { type Painted, paint } from "./paint.js";
import { Random } from "./random.js";
import { SCENES, type SceneKind } from "./scenes.js";

/** A drawing with questions. */
export interface FreshDrawing {
  readonly kind: SceneKind | "traffic light";
  readonly seed: number;
  /** Its pictures, or the frames of each of its clips. */
  readonly pictures: readonly Painted[];
  readonly clips: readonly (readonly Painted[])[];
  readonly turns: readonly Turn[];
}

/** The kinds of drawings. */
export const KINDS = Object.keys(SCENES) as SceneKind[];

/**
 * Draws a scene that the embedded checkpoint knows; the same seed gives the same pixels and questions everywhere.
 * @example
 * ```ts
 * const { pictures, turns } = freshDrawing("chart", 7);
 * console.log(pictures[0]!.width, turns[0]!.question, turns[0]!.answer);
 * ```
 */
export function freshDrawing(kind: SceneKind, seed: number): FreshDrawing {
  return fromScene(kind, SCENES[kind](new Random(seed)), seed);
}

/** A painted scene. */
export function fromScene(kind: FreshDrawing["kind"], scene: Scene, seed: number): FreshDrawing {
  const media = scene.media.map((frames) => frames.map(paint));
  return {
    kind,
    seed,
    pictures: scene.clips ? [] : media.flat(),
    clips: scene.clips ? media : [],
    turns: scene.turns,
  };
}
