/**
 * Decoding of a clip's wanted frames by WebCodecs. Frames are copied out and closed the moment they come: decoders own
 * few, and stand still while those are held.
 */
import type { VideoCodecs } from "../platform/platform.js";
import { AbortedError, MediaError, throwIfAborted } from "../runtime/errors.js";
import { type DecodeRun, planReads, planRuns } from "./decode-plan.js";
import type { ClipColour, ClipIndex } from "./mp4.js";
import type { Pixels } from "./resize.js";
import type { ByteSource } from "./source.js";
import { type FrameColour, type Plane, planesToRgb } from "./yuv.js";

/** Samples given to a decoder before it has taken the first of them. */
const MAX_QUEUED = 4;
/** How often a waiting loop looks at the decoder itself; events mostly wake it before. */
const LOOK_MILLISECONDS = 20;
/** A decoder that neither takes a sample nor gives a frame for this long never will. */
const STALL_MILLISECONDS = 20_000;

export interface DecodeOptions {
  signal?: AbortSignal | undefined;
  /** Patience with a decoder that does nothing; 20 s if not given. */
  stallMilliseconds?: number | undefined;
}

/** A decoded frame: its place in `ClipIndex.frames`, and RGB8 as stored, not turned. */
export interface DecodedFrame {
  frame: number;
  pixels: Pixels;
}

/**
 * Decodes the frames `wanted` (places in `clip.frames`, ascending) and yields them in that order; of the file it reads
 * the groups of pictures that hold them, each up to its last wanted frame.
 * @throws MediaError for a codec the decoder lacks, a broken or cut stream, and a decoder that stands still;
 * SourceError; AbortedError.
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
  // A frame that an edit list shows twice in a row is decoded once.
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

/** Refuses a cut file before anything is decoded. */
function checkInside(source: ByteSource, clip: ClipIndex, runs: readonly DecodeRun[]): void {
  for (const run of runs) {
    for (const number of run.samples) {
      const { offsetBytes, sizeBytes } = clip.samples[number]!;
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

/** Names of codecs that people meet, by the sample entry that begins the codec string. */
const CODEC_NAMES: Record<string, string> = {
  avc1: "H.264",
  avc3: "H.264",
  hvc1: "HEVC (H.265)",
  hev1: "HEVC (H.265)",
  dvh1: "Dolby Vision",
  dvhe: "Dolby Vision",
  vvc1: "VVC (H.266)",
  vp08: "VP8",
  vp09: "VP9",
  av01: "AV1",
  mp4v: "MPEG-4 part 2",
  s263: "H.263",
  jpeg: "Motion JPEG",
  mjpa: "Motion JPEG",
  apch: "ProRes",
  apcn: "ProRes",
  apcs: "ProRes",
  apco: "ProRes",
  ap4h: "ProRes",
  encv: "an encrypted codec",
};

/** The configuration the decoder accepts: in software, which gives the planes directly, else however it can. */
async function supportedConfig(clip: ClipIndex, codecs: VideoCodecs): Promise<VideoDecoderConfig> {
  const config: VideoDecoderConfig = {
    codec: clip.codec,
    codedWidth: clip.width,
    codedHeight: clip.height,
    ...(clip.description && { description: clip.description }),
    ...(codecs.configColour === "stands in" && { colorSpace: colourSpace(clip.colour) }),
  };
  for (const hardwareAcceleration of ["prefer-software", "no-preference"] as const) {
    const tried = { ...config, hardwareAcceleration };
    // A codec string it does not know at all may be thrown at.
    const support = await codecs.VideoDecoder.isConfigSupported(tried).catch(() => undefined);
    if (support?.supported) return tried;
  }
  const name = CODEC_NAMES[clip.codec.slice(0, 4)];
  throw new MediaError({
    where: clip.label,
    expected: `a codec that ${codecs.name} decodes`,
    got: name ? `${name} (${clip.codec})` : `codec ${JSON.stringify(clip.codec)}`,
    remedy: `convert it to H.264: ffmpeg -i in.mp4 -c:v libx264 -pix_fmt yuv420p out.mp4${codecs.remedy}`,
  });
}

/** The container's colour space, with the reference's choice where it names none: browsers would guess by the size. */
function colourSpace(colour: ClipColour): VideoColorSpaceInit {
  return {
    matrix: (colour.matrix ?? "smpte170m") as VideoMatrixCoefficients,
    primaries: (colour.primaries ?? "smpte170m") as VideoColorPrimaries,
    transfer: (colour.transfer ?? "smpte170m") as VideoTransferCharacteristics,
    fullRange: colour.fullRange ?? false,
  };
}

/** One decoder, used for one run after the other. */
class ClipDecoder {
  readonly #decoder: VideoDecoder;
  readonly #stallMilliseconds: number;
  /** Wanted frames that wait to be copied out. */
  readonly #ready: { sample: number; frame: VideoFrame }[] = [];
  #run: DecodeRun = { samples: [], displayed: [], wanted: new Set() };
  /** Frames that came in this run. */
  #given = 0;
  /** Counts everything the decoder does, so that standing still shows. */
  #steps = 0;
  #fault: unknown;
  #wake: (() => void) | undefined;

  constructor(
    readonly source: ByteSource,
    readonly clip: ClipIndex,
    readonly codecs: VideoCodecs,
    config: VideoDecoderConfig,
    readonly options: DecodeOptions,
  ) {
    this.#stallMilliseconds = options.stallMilliseconds ?? STALL_MILLISECONDS;
    this.#decoder = new codecs.VideoDecoder({
      output: (frame) => this.#take(frame),
      error: (error) => this.#fail(error),
    });
    this.#decoder.addEventListener("dequeue", () => this.#step());
    try {
      this.#decoder.configure(config);
    } catch (cause) {
      this.close();
      throw this.#broken(cause);
    }
  }

  /** Decodes a run and yields its wanted samples in the order of time. */
  async *decode(run: DecodeRun): AsyncGenerator<{ sample: number; pixels: Pixels }, void, undefined> {
    this.#run = run;
    this.#given = 0;
    for (const block of planReads(this.clip.samples, run.samples)) {
      const bytes = await this.source.read(block.offsetBytes, block.lengthBytes, this.options.signal);
      for (const number of block.samples) {
        while (this.#decoder.decodeQueueSize >= MAX_QUEUED && this.#ready.length === 0) await this.#progress();
        yield* this.#drain();
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
    if (this.#given !== run.samples.length) {
      throw this.#broken(`${this.#given} frames from ${run.samples.length} samples`);
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
          data: bytes.subarray(start, start + sizeBytes) as Uint8Array<ArrayBuffer>,
        }),
      );
    } catch (cause) {
      this.#check();
      throw this.#broken(cause);
    }
  }

  /**
   * Frames come in the order of time, so the place of a frame in the run tells which sample it is. Its timestamp does
   * not: one decoder hands the times out in the order of decoding.
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

  /** The frame's own planes to RGB; a converting copy or a canvas would round differently. Closes the frame. */
  async #copyOut(frame: VideoFrame, sample: number): Promise<Pixels> {
    const where = `${this.clip.label}, sample ${sample + 1}`;
    try {
      const { format, visibleRect } = frame;
      if (format === null || visibleRect === null) {
        throw new MediaError({
          where,
          expected: "a frame whose pixels can be read",
          got: "one that only the graphics card holds",
          remedy: "turn hardware video decoding off in the browser's settings, or convert the clip to H.264",
        });
      }
      const { width, height } = visibleRect;
      const colour = this.#colourOf(frame);
      const data = new Uint8Array(frame.allocationSize());
      const planes: readonly Plane[] = await frame.copyTo(data);
      return planesToRgb({ format, width, height, data, planes }, colour, where);
    } finally {
      frame.close();
    }
  }

  #colourOf(frame: VideoFrame): FrameColour {
    const { matrix, fullRange } = frame.colorSpace;
    return { matrix: matrix ?? this.clip.colour.matrix, fullRange: fullRange ?? this.clip.colour.fullRange };
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

  /** Waits until the decoder has done something; throws if it has failed, if it stands still, or on abort. */
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
    const got = cause instanceof Error ? cause.message : String(cause);
    return new MediaError({
      where: `${this.clip.label}, after ${this.#given} of ${this.#run.samples.length} frames of a group`,
      expected: `a ${this.clip.codec} stream that ${this.codecs.name} decodes`,
      got,
      remedy: "get an undamaged copy, or encode it anew: ffmpeg -i in.mp4 -c:v libx264 -pix_fmt yuv420p out.mp4",
      cause,
    });
  }
}
