/**
 * Samples the frames of a clip and decodes them to RGB8, one at a time.
 *
 * Inputs: MP4, QuickTime, WebM and Matroska files (decoded with WebCodecs), animated GIF and WebP, and sequences of pictures.
 */
import { platform } from "#platform";
import { MediaError, OptionError, throwIfAborted } from "../../base/errors.js";
import { kindOf, unwrapping } from "../../base/kind-of.js";
import { type Bytes, isBytes, MAX_MEDIA_BYTES } from "../bytes/bytes.js";
import { CLIP_START_BYTES, clipFormat, unknownClip } from "../bytes/clip-format.js";
import { type ByteSource, blobSource, bytesSource, givenSource, mediumSource } from "../bytes/source.js";
import { openGif } from "../pictures/gif.js";
import { decodeImage, MAX_PIXELS, type Picture } from "../pictures/image.js";
import { inspectPicture } from "../pictures/inspect-picture.js";
import { applyOrientation } from "../pictures/orientation.js";
import { type PictureInput, readPicture } from "../pictures/picture-input.js";
import { type ClipIndex, checkTrack, chooseTrack } from "./clip-index.js";
import { decodeFrames } from "./decode-clip.js";
import { checkChoice, chooseFrames, type FrameChoice, uniformIndices } from "./frame-choice.js";
import { readMatroskaIndex } from "./matroska.js";
import { readClipIndex } from "./mp4.js";

/**
 * Input clip: path or URL, Blob or File, the bytes of a file (any view, such as a Node Buffer, an ArrayBuffer or a SharedArrayBuffer),
 * a {@link ByteSource}, or its frames as pictures in temporal order. Inputs are not closed.
 */
export type VideoInput =
  | string
  | URL
  | Blob
  | ArrayBufferView
  | ArrayBufferLike
  | ByteSource
  | readonly PictureInput[]
  | AsyncIterable<PictureInput>;

export interface VideoOptions extends FrameChoice {
  /** Name of the clip in error messages; defaults to its path or URL, else "video". */
  label?: string | undefined;
  /** Whether to apply the rotation of a file (display matrix) and the EXIF orientation of pictures; defaults to "apply". */
  rotation?: "apply" | "ignore" | undefined;
  /** Number of the video track of a file, from 0, counting disabled ones; defaults to the first enabled one. */
  track?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Called after each frame with the progress. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Like browsers and FFmpeg, replaces durations of an animation up to this, and missing ones, by the default. */
const TOO_SHORT_MILLISECONDS = 10;
const DEFAULT_DURATION_MILLISECONDS = 100;

/** A sampled frame. */
export interface Frame {
  picture: Picture;
  /** Its number in the clip, from 0, in presentation order. */
  index: number;
  /** Presentation time in seconds; undefined for a sequence of pictures. */
  timestampSeconds: number | undefined;
  /** Total number of sampled frames. */
  count: number;
}

/**
 * Yields the sampled frames of a clip in temporal order; only one is in memory at a time. Sampling: see {@link FrameChoice}; of a sequence
 * of pictures, all are returned unless `frames` is given. Of an MP4, only the index and the groups of pictures with sampled frames are
 * read; WebM and Matroska have no frame index, so the whole file is read once. Pixel aspect ratios are ignored, as in the reference.
 * @throws MediaError for an unsupported, broken or truncated file and an unsupported codec; OptionError; MissingPackageError in Node
 * without the decoder package; SourceError; AbortedError.
 */
export async function* readFrames(
  input: VideoInput,
  options: VideoOptions = {},
): AsyncGenerator<Frame, void, undefined> {
  checkOptions(options);
  checkInput(input, options.label ?? "video");
  const { label = nameOf(input), signal } = options;
  throwIfAborted(signal, label);
  const frames = isPictures(input) ? picturesOf(input, label, options) : framesOfFile(input, label, options);
  let done = 0;
  for await (const frame of frames) {
    yield frame;
    options.onProgress?.(++done, frame.count);
    throwIfAborted(signal, label);
  }
}

function checkOptions(options: VideoOptions): void {
  checkChoice(options);
  checkTrack(options.track);
  const { rotation } = options;
  if (rotation === undefined || rotation === "apply" || rotation === "ignore") return;
  throw new OptionError({
    where: "rotation",
    expected: '"apply" or "ignore"',
    got: JSON.stringify(rotation),
    remedy: "leave it out to turn frames as players do",
  });
}

/** Validates the input, which may come from JSON or untyped code. */
function checkInput(input: unknown, label: string): void {
  if (typeof input === "string" || input instanceof URL || input instanceof Blob) return;
  if (isBytes(input) || Array.isArray(input) || isSource(input)) return;
  if (typeof input === "object" && input !== null && Symbol.asyncIterator in input) return;
  throw new MediaError({
    where: label,
    expected: "a path, a URL, a Blob, the bytes of a file, a ByteSource, or pictures in an array or async iterable",
    got: kindOf(input),
    remedy: unwrapping(input) ?? "give the clip as one of these",
  });
}

function nameOf(input: VideoInput): string {
  if (input instanceof URL) return input.href;
  if (typeof input === "string") return input.startsWith("data:") ? "video" : input;
  return "name" in input && typeof input.name === "string" ? input.name : "video";
}

function isPictures(input: VideoInput): input is readonly PictureInput[] | AsyncIterable<PictureInput> {
  return Array.isArray(input) || (typeof input === "object" && Symbol.asyncIterator in input);
}

async function* picturesOf(
  input: readonly PictureInput[] | AsyncIterable<PictureInput>,
  label: string,
  { frames, fps, startSeconds, endSeconds, rotation, track, signal }: VideoOptions,
): AsyncGenerator<Frame, void, undefined> {
  if (track !== undefined) {
    throw new OptionError({
      where: `${label}, track`,
      expected: "a file with video tracks",
      got: "pictures",
      remedy: "leave it out",
    });
  }
  for (const [name, value] of Object.entries({ fps, start: startSeconds, end: endSeconds })) {
    if (value === undefined) continue;
    throw new OptionError({
      where: `${label}, ${name}`,
      expected: "a clip whose frames have times",
      got: "pictures without times",
      remedy: "choose the pictures yourself, or say how many with `frames`",
    });
  }
  // Even spacing needs the total number, so collect all inputs before decoding any.
  const inputs: PictureInput[] = [];
  for await (const picture of input) {
    throwIfAborted(signal, label);
    inputs.push(picture);
  }
  if (inputs.length === 0) {
    throw new OptionError({
      where: label,
      expected: "at least one picture",
      got: "none",
      remedy: "give the clip's frames",
    });
  }
  const chosen = uniformIndices(inputs.length, frames ?? inputs.length);
  for (const index of chosen) {
    const pictureOptions = { orientation: rotation ?? "apply", signal };
    const picture = await readPicture(inputs[index]!, `${label}, frame ${index + 1}`, pictureOptions);
    yield { picture, index, timestampSeconds: undefined, count: chosen.length };
  }
}

async function* framesOfFile(
  input: Exclude<VideoInput, readonly PictureInput[] | AsyncIterable<PictureInput>>,
  label: string,
  options: VideoOptions,
): AsyncGenerator<Frame, void, undefined> {
  const given = isSource(input);
  const source = given ? givenSource(input) : await openSource(input, label, options.signal);
  try {
    const start = await source.read(0, Math.min(CLIP_START_BYTES, source.sizeBytes), options.signal);
    const format = clipFormat(start);
    if (format === "gif" || format === "webp") yield* framesOfAnimation(source, format, label, options);
    else if (!format) throw unknownClip(label, start);
    else yield* framesOfTrack(source, await indexOf(source, format, label, options), options);
  } finally {
    // A source given by the caller is closed by the caller.
    if (!given) await source.close();
  }
}

function isSource(input: unknown): input is ByteSource {
  return typeof input === "object" && input !== null && "sizeBytes" in input && "read" in input;
}

async function openSource(
  input: string | URL | Blob | Bytes,
  label: string,
  signal: AbortSignal | undefined,
): Promise<ByteSource> {
  if (isBytes(input)) return bytesSource(input, label);
  if (input instanceof Blob) return blobSource(input, label);
  const text = String(input);
  if (/^data:/i.test(text)) return blobSource(await (await fetch(text)).blob(), label);
  return mediumSource(text, label, signal);
}

async function indexOf(
  source: ByteSource,
  format: "mp4" | "matroska",
  label: string,
  { signal, track }: VideoOptions,
): Promise<ClipIndex> {
  if (format === "mp4") return readClipIndex(source, label, signal, track);
  return readMatroskaIndex(source, label, { signal, track });
}

async function* framesOfTrack(
  source: ByteSource,
  clip: ClipIndex,
  options: VideoOptions,
): AsyncGenerator<Frame, void, undefined> {
  const { label } = clip;
  const times = clip.frames.map((frame) => frame.timestampSeconds);
  checkWhole(source, clip, options);
  const chosen = chooseFrames(times, options);
  const codecs = await platform.videoCodecs();
  for await (const { frame, pixels } of decodeFrames(source, clip, chosen, codecs, { signal: options.signal })) {
    const upright = options.rotation === "ignore" ? pixels : applyOrientation(pixels, clip.orientation);
    const picture = { ...upright, label: `${label}, frame ${frame + 1}` };
    yield { picture, index: frame, timestampSeconds: times[frame], count: chosen.length };
  }
}

/** Throws MediaError for a truncated file if missing frames might be wanted. */
function checkWhole(source: ByteSource, clip: ClipIndex, { endSeconds }: VideoOptions): void {
  const { wholeBytes, frames, label } = clip;
  const last = frames[frames.length - 1]!.timestampSeconds;
  if (wholeBytes === undefined || (endSeconds !== undefined && endSeconds < last)) return;
  throw new MediaError({
    where: label,
    expected: `${wholeBytes} bytes`,
    got: `a file that ends at ${source.sizeBytes}, in which the last frame is at ${last} s`,
    remedy: "the file is cut; get a complete copy, or choose an end before the cut",
  });
}

async function* framesOfAnimation(
  source: ByteSource,
  format: "gif" | "webp",
  label: string,
  options: VideoOptions,
): AsyncGenerator<Frame, void, undefined> {
  const refuse = (expected: string, got: string): MediaError =>
    new MediaError({ where: label, expected, got, remedy: "convert it to MP4, or get an undamaged copy" });
  if (source.sizeBytes > MAX_MEDIA_BYTES) {
    throw refuse(`an animation of at most ${MAX_MEDIA_BYTES} bytes`, `${source.sizeBytes} bytes`);
  }
  chooseTrack([{ isEnabled: true }], options.track, label, () => `animated ${format === "gif" ? "GIF" : "WebP"}`);
  const bytes = await source.read(0, source.sizeBytes, options.signal);
  const info = inspectPicture(bytes, label);
  const animation =
    info.format === "gif" ? openGif(bytes, label, MAX_PIXELS, info.gif) : await platform.openAnimation(bytes, label);
  try {
    const times: number[] = [];
    let milliseconds = 0;
    for (const duration of animation.durationsMilliseconds) {
      times.push(milliseconds / 1000);
      milliseconds += duration <= TOO_SHORT_MILLISECONDS ? DEFAULT_DURATION_MILLISECONDS : duration;
    }
    const chosen = chooseFrames(times, options);
    for (const index of chosen) {
      throwIfAborted(options.signal, label);
      const name = `${label}, frame ${index + 1}`;
      // A single frame is decoded as a still picture: animation decoders yield different pixels.
      const picture =
        times.length === 1
          ? await decodeImage(
              bytes,
              { label: name, orientation: options.rotation ?? "apply", signal: options.signal },
              info,
            )
          : { ...(await animation.picture(index)), label: name };
      yield { picture, index, timestampSeconds: times[index], count: chosen.length };
    }
  } finally {
    animation.close();
  }
}
