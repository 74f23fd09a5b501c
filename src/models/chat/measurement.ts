import type { PreparedMedium } from "../llava-onevision/processor.js";

/** Tiles and tokens of one picture or clip. */
export interface MeasuredMedium {
  readonly kind: "image" | "video";
  readonly tiles: number;
  readonly tokens: number;
  /** Size in pixels after orientation; of a clip's first frame. */
  readonly width: number;
  readonly height: number;
  /** Tile boundaries of a picture as fractions of its width and height; the whole picture is one more tile. */
  readonly cuts?: { readonly x: readonly number[]; readonly y: readonly number[] };
  /** Timestamps of the sampled frames, in seconds; absent for frames passed as pictures. */
  readonly frameSeconds?: readonly number[];
}

/** Token counts of a prompt, known before the model runs. */
export interface Measurement {
  readonly promptTokens: number;
  /** Tokens of pictures and clips. */
  readonly visualTokens: number;
  /** Tokens reused from the session's KV cache. */
  readonly reusedTokens: number;
  /** Tiles of the pictures and frames. */
  readonly tiles: number;
  /** Context length of the model. */
  readonly contextTokens: number;
  /** Tokens left for the answer; 0 if the prompt does not fit. */
  readonly availableTokens: number;
  /** Pictures and clips in their order. */
  readonly media: readonly MeasuredMedium[];
}

/** Returns the measurement of a medium; tiles are squares of `tileSide` pixels. */
export function measured({ kind, view, tileCount, tokens }: PreparedMedium, tileSide: number): MeasuredMedium {
  const { grid, ...rest } = view;
  const cuts = grid && {
    x: cutsAlong(grid.columns, tileSide, grid.offsetX, grid.resizedWidth),
    y: cutsAlong(grid.rows, tileSide, grid.offsetY, grid.resizedHeight),
  };
  return { kind, tiles: tileCount, tokens, ...rest, ...(cuts && { cuts }) };
}

function cutsAlong(tiles: number, side: number, offset: number, size: number): number[] {
  return Array.from({ length: tiles - 1 }, (_, i) => ((i + 1) * side - offset) / size).filter(
    (cut) => cut > 0 && cut < 1,
  );
}

/** Token counts of a prefill. */
export interface AppendResult {
  /** Tokens in the session's KV cache. */
  readonly promptTokens: number;
  readonly reusedTokens: number;
  readonly visualTokens: number;
  /** Tiles that the vision tower encoded. */
  readonly tiles: number;
}
