/** Derives the model's sizes from the shapes of a checkpoint's tensors. */

import { CheckpointError } from "../../base/errors.js";
import type { Layout } from "./tensor-names.js";

/** Tensor shapes; lookups throw CheckpointError. */
export class Shapes {
  constructor(private readonly shapes: ReadonlyMap<string, readonly number[]>) {}

  /** Number of tensors, which is more than there are layers. */
  get count(): number {
    return this.shapes.size;
  }

  matrix(name: string): [rows: number, columns: number] {
    const shape = this.of(name);
    if (shape.length !== 2) throw disagree(name, "a matrix", `shape [${shape.join(", ")}]`);
    return [shape[0]!, shape[1]!];
  }

  /** Width and side of the patch embedding `[width, 3, side, side]`, and cells of the square position table. */
  patch(layout: Layout): { width: number; side: number; cells: number } {
    const name = `${layout.vision}.embeddings.patch_embedding.weight`;
    const shape = this.of(name);
    const [width = 0, channels, height, side = 0] = shape;
    if (shape.length !== 4 || channels !== 3 || height !== side) {
      throw disagree(name, "shape [width, 3, side, side]", `[${shape.join(", ")}]`);
    }
    const positions = `${layout.vision}.embeddings.position_embedding.weight`;
    const rows = this.matrix(positions)[0];
    const cells = Math.round(Math.sqrt(rows));
    if (cells * cells !== rows) throw disagree(positions, "a square number of rows", `${rows}`);
    return { width, side, cells };
  }

  /** Highest layer number after `prefix`, plus one. */
  layers(prefix: string): number {
    let layers = 0;
    for (const name of this.shapes.keys()) {
      if (name.startsWith(prefix)) layers = Math.max(layers, Number.parseInt(name.slice(prefix.length), 10) + 1 || 0);
    }
    if (layers === 0) throw disagree(`${prefix}0`, "at least one layer", "none");
    if (layers > this.count)
      throw disagree(`${prefix}${layers - 1}`, `at most ${this.count} layers, one a tensor`, `${layers}`);
    return layers;
  }

  private of(name: string): readonly number[] {
    const shape = this.shapes.get(name);
    if (shape === undefined) throw disagree(name, "this tensor", "no tensor of the name");
    return shape;
  }
}

/** Returns the error for a tensor that contradicts the config or the model family. */
export function disagree(tensor: string, expected: string, got: string): CheckpointError {
  const remedy = "config and weights are of different checkpoints, or incomplete; download both again";
  return new CheckpointError({ where: `checkpoint: tensor ${tensor}`, expected, got, remedy });
}
