import { clip, clips } from "./clips.js";
import type { Scene } from "./objects.js";
import { chart, marks, number, shapes, table } from "./pictures.js";
import type { Random } from "./random.js";
import { cameras, gallery, pair, screenshots } from "./several.js";

/** All kinds of drawings that the embedded checkpoint was trained on. */
export const SCENES = {
  shapes,
  number,
  chart,
  table,
  marks,
  pair,
  gallery,
  screenshots,
  cameras,
  clip,
  clips,
} satisfies Record<string, (random: Random) => Scene>;

/** A kind of drawings that the embedded checkpoint was trained on. */
export type SceneKind = keyof typeof SCENES;
