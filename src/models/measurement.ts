import type { PreparedMedium } from "./llava-onevision/processor.js";

/** How one picture or clip is looked at. */
export interface MeasuredMedium {
  readonly kind: "image" | "video";
  readonly tiles: number;
  readonly tokens: number;
  /** Size in pixels as the model sees it, turned upright; of a clip's first frame. */
  readonly width: number;
  readonly height: number;
  /** Where a picture is cut into tiles, as shares of its width and height; the model sees the whole as one more tile. */
  readonly cuts?: { readonly x: readonly number[]; readonly y: readonly number[] };
  /** Seconds of the clip at which the frames appear that are looked at; absent for frames given one by one. */
  readonly frameSeconds?: readonly number[];
}

/** What a prompt takes, known before the adapter works. */
export interface Measurement {
  readonly promptTokens: number;
  /** Those that pictures and clips take. */
  readonly visualTokens: number;
  /** Those whose keys and values the session has. */
  readonly reusedTokens: number;
  /** Tiles of the pictures and frames. */
  readonly tiles: number;
  /** Tokens that the model's context holds. */
  readonly contextTokens: number;
  /** Those that are left for the answer; 0 if the prompt does not fit. */
  readonly availableTokens: number;
  /** Pictures and clips in their order. */
  readonly media: readonly MeasuredMedium[];
}

/** What is told of a medium; tiles are squares of `tileSide` pixels. */
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

/** What was computed ahead of a question. */
export interface AppendResult {
  /** Tokens that are in the session's cache now. */
  readonly promptTokens: number;
  readonly reusedTokens: number;
  readonly visualTokens: number;
  /** Tiles that went through the vision tower. */
  readonly tiles: number;
}
