/** The blocks of a Matroska track in file order, stored as columns, since a crafted file may contain millions of them. */
import { MediaError } from "../../base/errors.js";
import type { VideoSample } from "./clip-index.js";

/** Maximum number of blocks: 19 hours at 60 frames per second. */
const MAX_BLOCKS = 2 ** 22;
/** Maximum memory per block, measured: columns, sample, frame and time. */
const BYTES_A_BLOCK = 320;
/** Memory budget for blocks: a constant, plus this multiple of the file size. */
const FREE_BYTES = 32 * 1024 * 1024;
const FREE_FILES = 3;

const KEYFRAME = 1;
const HIDDEN = 2;

/** Byte range and timestamp of a frame. */
export interface Block {
  offsetBytes: number;
  sizeBytes: number;
  ticks: number;
}

export class BlockTable {
  readonly #most: number;
  readonly #label: string;
  #offsets = new Float64Array(256);
  #sizes = new Float64Array(256);
  #ticks = new Float64Array(256);
  #flags = new Uint8Array(256);
  #length = 0;
  /** Latest timestamp, the one before it, and the offset added to timestamps of the current recording. */
  #latest = Number.NEGATIVE_INFINITY;
  #beforeLatest = Number.NEGATIVE_INFINITY;
  #shift = 0;
  #beginsRecording = false;

  /** `fileBytes`: size of the file, which limits the number of blocks. */
  constructor(fileBytes: number, label: string) {
    this.#most = Math.min(MAX_BLOCKS, Math.floor((FREE_BYTES + FREE_FILES * fileBytes) / BYTES_A_BLOCK));
    this.#label = label;
  }

  get length(): number {
    return this.#length;
  }

  /** Starts an appended recording. If its timestamps are not later, they are shifted to continue at the previous frame interval. */
  beginRecording(): void {
    this.#beginsRecording = true;
  }

  /** Appends a block. @throws MediaError if a file of this size cannot have so many frames. */
  add({ offsetBytes, sizeBytes, ticks }: Block, isKeyframe: boolean, isHidden: boolean): void {
    if (this.#length >= this.#most) {
      throw new MediaError({
        where: this.#label,
        expected: `at most ${this.#most} frames in a file of this size`,
        got: "more",
        remedy: "cut the clip: ffmpeg -i in.mkv -t 600 -c copy out.mkv",
      });
    }
    if (this.#length === this.#flags.length) this.#grow();
    if (this.#beginsRecording) {
      this.#beginsRecording = false;
      const pace = Number.isFinite(this.#beforeLatest) ? this.#latest - this.#beforeLatest : 1;
      this.#shift = ticks > this.#latest ? 0 : this.#latest + pace - ticks;
    }
    const time = ticks + this.#shift;
    if (time > this.#latest) {
      this.#beforeLatest = this.#latest;
      this.#latest = time;
    }
    const i = this.#length++;
    this.#offsets[i] = offsetBytes;
    this.#sizes[i] = sizeBytes;
    this.#ticks[i] = time;
    this.#flags[i] = (isKeyframe ? KEYFRAME : 0) | (isHidden ? HIDDEN : 0);
  }

  /** Returns all blocks as samples in decode order. */
  samples(): VideoSample[] {
    // Streams with gradual intra refresh have no keyframes; decoding starts at the first block.
    const anyKey = this.#flags.subarray(0, this.#length).some((flags) => flags & KEYFRAME);
    return Array.from({ length: this.#length }, (_, i) => ({
      offsetBytes: this.#offsets[i]!,
      sizeBytes: this.#sizes[i]!,
      compositionTicks: this.#ticks[i]!,
      isKeyframe: anyKey ? (this.#flags[i]! & KEYFRAME) !== 0 : i === 0,
      ...(this.#flags[i]! & HIDDEN ? { isHidden: true } : {}),
    }));
  }

  #grow(): void {
    const wider = <A extends Float64Array<ArrayBuffer> | Uint8Array<ArrayBuffer>>(old: A): A => {
      const column = new (old.constructor as new (length: number) => A)(old.length * 2);
      column.set(old);
      return column;
    };
    this.#offsets = wider(this.#offsets);
    this.#sizes = wider(this.#sizes);
    this.#ticks = wider(this.#ticks);
    this.#flags = wider(this.#flags);
  }
}
