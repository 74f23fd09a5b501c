/**
 * Decodes the wanted frames of a clip with WebCodecs. Frames are copied and closed immediately, since decoders have few frame buffers and
 * stall while all are in use.
 */

import { causeMessage } from "../../base/cause-message.js";
import { AbortedError, MediaError, throwIfAborted } from "../../base/errors.js";
import type { VideoCodecs } from "../../platform/platform.js";
import type { ByteSource } from "../bytes/source.js";
import type { Pixels } from "../pictures/resize.js";
import { pixelsOfFrame } from "../pictures/video-frame.js";
import type { ClipIndex } from "./clip-index.js";
import { supportedConfig } from "./decode-config.js";
import { type DecodeRun, planReads, planRuns } from "./decode-plan.js";

/** Maximum samples in the decoder's queue. */
const MAX_QUEUED = 4;
/** Polling interval of the decoder; events usually wake the loop earlier. */
const LOOK_MILLISECONDS = 20;
/** Time without progress after which a decoder is considered stalled. */
const STALL_MILLISECONDS = 20_000;

/** Maximum size of an encoded picture, more than uncompressed 8K. */
const MAX_SAMPLE_BYTES = 2 ** 28;

export interface DecodeOptions {
  signal?: AbortSignal | undefined;
  /** Stall timeout of the decoder; defaults to 20 s. */
  stallMilliseconds?: number | undefined;
}

/** A decoded frame: its index in `ClipIndex.frames`, and its RGB8 pixels without rotation. */
export interface DecodedFrame {
  frame: number;
  pixels: Pixels;
}

/**
 * Decodes the frames `wanted` (indices into `clip.frames`, ascending) and yields them in this order. Reads only the groups of pictures
 * that contain them, each up to its last wanted frame.
 * @throws MediaError for an unsupported codec, a broken or truncated stream, and a decoder that stalls; SourceError; AbortedError.
 */
export async function* decodeFrames(
  source: ByteSource,
  clip: ClipIndex,
  wanted: readonly number[],
  codecs: VideoCodecs,
  options: DecodeOptions = {},
): AsyncGenerator<DecodedFrame, void, undefined> {
  const runs = planRuns(clip, wanted);
  checkInside(source, clip, runs);
  const config = await supportedConfig(clip, codecs);
  const decoder = new ClipDecoder(source, clip, codecs, config, options);
  // A sample that an edit list shows several times in a row is decoded once.
  let next = 0;
  try {
    for (const run of runs) {
      for await (const { sample, pixels } of decoder.decode(run)) {
        while (next < wanted.length && clip.frames[wanted[next]!]!.sample === sample) {
          yield { frame: wanted[next++]!, pixels };
        }
      }
    }
  } finally {
    decoder.close();
  }
}

/** Throws MediaError before decoding if the file ends before a sample of the runs. */
function checkInside(source: ByteSource, clip: ClipIndex, runs: readonly DecodeRun[]): void {
  for (const run of runs) {
    for (const number of run.samples) {
      const { offsetBytes, sizeBytes } = clip.samples[number]!;
      if (sizeBytes > MAX_SAMPLE_BYTES) {
        throw new MediaError({
          where: `${clip.label}, sample ${number + 1} of ${clip.samples.length}`,
          expected: `an encoded picture of at most ${MAX_SAMPLE_BYTES} bytes`,
          got: `${sizeBytes} bytes`,
          remedy: "the file's sample table is broken; get an undamaged copy",
        });
      }
      if (offsetBytes + sizeBytes <= source.sizeBytes) continue;
      throw new MediaError({
        where: `${clip.label}, sample ${number + 1} of ${clip.samples.length}`,
        expected: `${sizeBytes} bytes at ${offsetBytes}`,
        got: `a file that ends at ${source.sizeBytes}`,
        remedy: "the file is cut; get a complete copy, or choose an end before the cut",
      });
    }
  }
}

/** Prepends the stripped bytes of a sample. */
function withPrefix(prefix: Uint8Array | undefined, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  if (!prefix) return bytes as Uint8Array<ArrayBuffer>;
  const whole = new Uint8Array(prefix.length + bytes.length);
  whole.set(prefix);
  whole.set(bytes, prefix.length);
  return whole;
}

/** One decoder, reused for all runs. */
class ClipDecoder {
  readonly #decoder: VideoDecoder;
  readonly #stallMilliseconds: number;
  /** Wanted frames whose pixels are not copied yet. */
  readonly #ready: { sample: number; frame: VideoFrame }[] = [];
  #run: DecodeRun = { samples: [], displayed: [], wanted: new Set() };
  /** Frames output in this run. */
  #given = 0;
  /** Progress counter of the decoder, to detect stalls. */
  #steps = 0;
  #fault: unknown;
  #wake: (() => void) | undefined;

  constructor(
    readonly source: ByteSource,
    readonly clip: ClipIndex,
    readonly codecs: VideoCodecs,
    readonly config: VideoDecoderConfig,
    readonly options: DecodeOptions,
  ) {
    this.#stallMilliseconds = options.stallMilliseconds ?? STALL_MILLISECONDS;
    this.#decoder = new codecs.VideoDecoder({
      output: (frame) => this.#take(frame),
      error: (error) => this.#fail(error),
    });
    this.#decoder.addEventListener("dequeue", () => this.#step());
  }

  /**
   * Resets and configures the decoder before each run: @napi-rs/webcodecs 1.3.1 crashes the process on a VP9 frame whose reference precedes
   * a flush.
   */
  #configure(): void {
    try {
      if (this.#decoder.state === "configured") this.#decoder.reset();
      this.#decoder.configure(this.config);
    } catch (cause) {
      this.#check();
      throw this.#broken(cause);
    }
  }

  /** Decodes a run and yields its wanted samples in display order. */
  async *decode(run: DecodeRun): AsyncGenerator<{ sample: number; pixels: Pixels }, void, undefined> {
    this.#run = run;
    this.#given = 0;
    this.#configure();
    for (const block of planReads(this.clip.samples, run.samples)) {
      const bytes = await this.source.read(block.offsetBytes, block.lengthBytes, this.options.signal);
      for (const number of block.samples) {
        while (this.#decoder.decodeQueueSize >= MAX_QUEUED && this.#ready.length === 0) await this.#progress();
        yield* this.#drain();
        // A decoder that fails is closed immediately and reports its error a moment later.
        if (this.#decoder.state === "closed") await new Promise((resolve) => setTimeout(resolve, LOOK_MILLISECONDS));
        this.#check();
        this.#feed(number, bytes, block.offsetBytes);
      }
    }
    let flushed = false;
    this.#decoder.flush().then(
      () => {
        flushed = true;
        this.#step();
      },
      (error: unknown) => this.#fail(error),
    );
    while (!flushed) {
      await this.#progress();
      yield* this.#drain();
    }
    yield* this.#drain();
    if (this.#given !== run.displayed.length) {
      throw this.#broken(`${this.#given} frames from ${run.displayed.length} samples`);
    }
  }

  close(): void {
    for (const { frame } of this.#ready.splice(0)) frame.close();
    if (this.#decoder.state !== "closed") this.#decoder.close();
  }

  #feed(number: number, bytes: Uint8Array, blockOffsetBytes: number): void {
    const { offsetBytes, sizeBytes, compositionTicks, isKeyframe } = this.clip.samples[number]!;
    const start = offsetBytes - blockOffsetBytes;
    try {
      this.#decoder.decode(
        new this.codecs.EncodedVideoChunk({
          type: isKeyframe ? "key" : "delta",
          timestamp: Math.round((compositionTicks / this.clip.timescale) * 1e6),
          data: withPrefix(this.clip.samplePrefix, bytes.subarray(start, start + sizeBytes)),
        }),
      );
    } catch (cause) {
      this.#check();
      throw this.#broken(cause);
    }
  }

  /**
   * Identifies an output frame by its position in the run, since decoders output in display order. Timestamps are not reliable: one
   * decoder assigns them in decode order.
   */
  #take(frame: VideoFrame): void {
    const sample = this.#run.displayed[this.#given++];
    if (sample !== undefined && this.#run.wanted.has(sample) && this.#decoder.state !== "closed") {
      this.#ready.push({ sample, frame });
    } else {
      frame.close();
    }
    this.#step();
  }

  async *#drain(): AsyncGenerator<{ sample: number; pixels: Pixels }, void, undefined> {
    for (let next = this.#ready.shift(); next; next = this.#ready.shift()) {
      yield { sample: next.sample, pixels: await this.#copyOut(next.frame, next.sample) };
    }
  }

  /** Copies the pixels out and closes the frame. */
  async #copyOut(frame: VideoFrame, sample: number): Promise<Pixels> {
    try {
      return await pixelsOfFrame(frame, `${this.clip.label}, sample ${sample + 1}`, this.clip.colour);
    } finally {
      frame.close();
    }
  }

  #step(): void {
    this.#steps++;
    this.#wake?.();
  }

  #fail(error: unknown): void {
    this.#fault ??= error;
    this.#wake?.();
  }

  #check(): void {
    throwIfAborted(this.options.signal, this.clip.label);
    if (this.#fault !== undefined) throw this.#broken(this.#fault);
  }

  /** Waits until the decoder progresses. Throws if it fails or stalls, and on abort. */
  async #progress(): Promise<void> {
    const { signal } = this.options;
    const steps = this.#steps;
    const queued = this.#decoder.decodeQueueSize;
    const giveUp = performance.now() + this.#stallMilliseconds;
    const wake = (): void => this.#wake?.();
    signal?.addEventListener("abort", wake);
    try {
      for (;;) {
        this.#check();
        if (this.#steps !== steps || this.#decoder.decodeQueueSize !== queued) return;
        if (performance.now() >= giveUp) {
          throw this.#broken(`no frame and no error for ${this.#stallMilliseconds / 1000} s`);
        }
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, LOOK_MILLISECONDS);
          this.#wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
        this.#wake = undefined;
      }
    } finally {
      signal?.removeEventListener("abort", wake);
    }
  }

  #broken(cause: unknown): MediaError | AbortedError {
    if (this.options.signal?.aborted) return new AbortedError(this.clip.label, this.options.signal.reason);
    const got = causeMessage(cause);
    return new MediaError({
      where: `${this.clip.label}, after ${this.#given} of ${this.#run.displayed.length} frames of a group`,
      expected: `a ${this.clip.codec} stream that ${this.codecs.name} decodes`,
      got,
      remedy: "get an undamaged copy, or re-encode it: ffmpeg -i in.mp4 -c:v libx264 -pix_fmt yuv420p out.mp4",
      cause,
    });
  }
}
