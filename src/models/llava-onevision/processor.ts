import { pause } from "../../base/abort.js";
import { PromptError, shown, throwIfAborted } from "../../base/errors.js";
import { checkOptions } from "../../base/options.js";
import type { Picture } from "../../io/picture-input.js";
import {
  type AnyresPlan,
  cutTiles,
  frameTile,
  type PictureInput,
  padTile,
  planAnyres,
  readPicture,
} from "../../io/picture-input.js";
import { concatBytes } from "../../io/source.js";
import type { Tokenizer } from "../../io/tokenizer.js";
import type { VideoInput } from "../../io/video.js";
import type { LlavaOneVisionConfig } from "./config.js";
import { blanks, type SpecialTokens, withoutTexts } from "./literal-text.js";
import { type PackingPlan, packImage, packPadImage, packVideo, planImage } from "./packing.js";
import { PreparedMedia } from "./prepared-media.js";
import {
  ChatTemplate,
  type ExpandedPrompt,
  expandPrompt,
  type Message,
  mediaOf,
  type PlaceholderIds,
  renderPrompt,
} from "./prompt.js";

/** A picture in a message. */
export interface ImageContent {
  type: "image";
  image: PictureInput;
}

/** A clip in a message: a file, or decoded pictures in temporal order. */
export interface VideoContent {
  type: "video";
  video?: VideoInput;
  /** Number of frames to sample, evenly spaced including the first and the last (default 16); or the frames themselves. */
  frames?: number | readonly PictureInput[];
  /** Sampling rate in frames per second, instead of a number of frames. */
  fps?: number;
  /** Start and end in seconds of the sampled range. */
  start?: number;
  end?: number;
  /** Index of the video track, from 0; the first enabled one if not given. */
  track?: number;
}

/** A text in a message. */
export interface TextContent {
  type: "text";
  text: string;
}

/** One message of a conversation: a text, or a list of parts in order. */
export interface ChatMessage {
  role: "system" | "user" | "assistant";
  content: string | readonly (TextContent | ImageContent | VideoContent)[];
}

/** How pictures become tiles: one picture is cut into tiles ("anyres"), several are squares of one tile each ("pad"). */
export type ImageMode = "auto" | "anyres" | "pad";

export interface ProcessorOptions {
  imageMode?: ImageMode | undefined;
  template?: "checkpoint" | "onevision" | undefined;
  orientation?: "apply" | "ignore" | undefined;
  specialTokens?: SpecialTokens | undefined;
  /** Beginning of the answer, after the assistant's header. */
  answerPrefix?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** Tiles with their packing plan: a whole picture, or a segment of a clip's frames. */
export interface Segment {
  /** `[N, S, S, 3]` RGB8 */
  readonly tiles: Uint8Array;
  readonly tileCount: number;
  readonly plan: PackingPlan;
  /** Hash of tiles and plan: equal keys have equal visual tokens. */
  readonly key: string;
}

/** Properties of a picture or clip before tiling. */
export interface MediumView {
  /** Size in pixels, of a clip's first frame. */
  readonly width: number;
  readonly height: number;
  /** Tile grid of a picture; absent in pad mode. */
  readonly grid?: AnyresPlan;
  /** Timestamps of the frames in seconds; absent for frames passed as pictures. */
  readonly frameSeconds?: readonly number[];
}

/** One picture or clip, ready for the GPU. */
export interface PreparedMedium {
  readonly kind: "image" | "video";
  readonly view: MediumView;
  readonly segments: readonly Segment[];
  readonly tileCount: number;
  /** Visual tokens. */
  readonly tokens: number;
  /** Key of the medium, from its segments' keys. */
  readonly key: string;
  /** Row of the sequence at which its visual tokens begin. */
  readonly start: number;
}

const IMAGE_KEYS = ["type", "image"] as const;
const VIDEO_KEYS = ["type", "video", "frames", "fps", "start", "end", "track"] as const;

type UnplacedMedium = Omit<PreparedMedium, "start">;

/** Frames per segment of a clip; its features fit a binding even at the largest widths. */
export const FRAMES_A_SEGMENT = 32;

/** A prompt, ready for the GPU. */
export interface PreparedPrompt extends ExpandedPrompt {
  text: string;
  /** In the order of the sequence. */
  media: PreparedMedium[];
}

/** Converts messages to token ids and tiles, on the CPU. Keeps the tiles of recent Blobs, no state besides. */
export class Processor {
  readonly #prepared = new PreparedMedia<UnplacedMedium>();

  constructor(
    readonly config: LlavaOneVisionConfig,
    readonly tokenizer: Tokenizer,
    readonly template: ChatTemplate,
    readonly placeholders: PlaceholderIds,
  ) {}

  /** Prepares a prompt. Throws PromptError, MediaError, SourceError, AbortedError. */
  async prepare(messages: readonly ChatMessage[], options: ProcessorOptions = {}): Promise<PreparedPrompt> {
    const { text, searched } = this.#render(messages, options);
    const parts = mediaOf(messages as readonly Message<ImageContent, VideoContent>[]);
    const images = parts.filter((part) => part.type === "image").length;
    const mode =
      !options.imageMode || options.imageMode === "auto" ? (images > 1 ? "pad" : "anyres") : options.imageMode;
    const prepared: UnplacedMedium[] = [];
    for (const part of parts) {
      throwIfAborted(options.signal, "preparing the prompt");
      checkOptions(`${part.type} part`, part, part.type === "image" ? IMAGE_KEYS : VIDEO_KEYS);
      const label = `${part.type} ${prepared.filter((m) => m.kind === part.type).length + 1}`;
      prepared.push(await this.#medium(part, label, mode, options));
    }
    const media = prepared.map(({ kind, tokens }) => ({ kind, tokens }));
    const expanded = expandPrompt(text, media, this.tokenizer, this.placeholders, searched);
    return { ...expanded, text, media: inSequence(expanded, prepared) };
  }

  /**
   * Prepares the longest prefix of a prompt that does not depend on the text that follows in its last message; `inputIds` and media end
   * there. Throws what `prepare` throws.
   */
  async prepareBeginning(messages: readonly ChatMessage[], options: ProcessorOptions = {}): Promise<PreparedPrompt> {
    const whole = await this.prepare(messages, options);
    const [first, ...others] = FOLLOWING.map((following) => {
      const { text, searched } = this.#render(followedBy(messages, following), options);
      return expandPrompt(text, whole.media, this.tokenizer, this.placeholders, searched);
    });
    const { inputIds, spans } = first!;
    const same = Math.min(...others.map((other) => other.inputIds.findIndex((id, i) => id !== inputIds[i])));
    const media = whole.media.map((medium, i) => ({ ...medium, start: spans[i]!.start }));
    const cut = media.find(({ start, tokens }) => start < same && start + tokens > same);
    const end = cut?.start ?? same;
    const within = ({ start }: { start: number }): boolean => start < end;
    return {
      ...whole,
      inputIds: inputIds.slice(0, end),
      spans: spans.filter(within),
      media: media.filter(within),
    };
  }

  /**
   * Renders the prompt's text, and the same text with message texts blanked out, in which placeholders and added tokens are
   * parsed.
   */
  #render(messages: readonly ChatMessage[], options: ProcessorOptions): { text: string; searched: string } {
    const template = options.template === "onevision" ? ChatTemplate.onevision : this.template;
    const plain = messages as readonly Message[];
    const { answerPrefix = "" } = options;
    const prompt = renderPrompt(plain, template);
    const text = prompt + answerPrefix;
    if (options.specialTokens === "parse") return { text, searched: text };
    return { text, searched: withoutTexts(prompt, plain, template, this.tokenizer) + blanks(answerPrefix) };
  }

  #medium(
    part: ImageContent | VideoContent,
    label: string,
    mode: "anyres" | "pad",
    options: ProcessorOptions,
  ): Promise<UnplacedMedium> {
    if (part.type === "image") {
      const read = async () =>
        this.#image(await readPicture(required(part.image, label, "image"), label, options), mode);
      return this.#prepared.of(part.image, JSON.stringify([mode, options.orientation]), read);
    }
    const { video, frames, fps, start, end, track } = part;
    const read = () => this.#video(part, label, options);
    // Frames that are given as pictures are prepared anew.
    const source = Array.isArray(frames) ? undefined : video;
    return this.#prepared.of(source, JSON.stringify([frames, fps, start, end, track, options.orientation]), read);
  }

  #image(picture: Picture, mode: "anyres" | "pad"): Promise<UnplacedMedium> {
    const { vision, grids, maxTiles } = this.config;
    const { tileSide, cells } = vision;
    const { width, height } = picture;
    if (mode === "pad") {
      const tiles = padTile(picture, tileSide, this.#fill);
      return medium("image", { width, height }, [{ tiles, tileCount: 1, plan: packPadImage(cells) }]);
    }
    const grid = planAnyres(width, height, grids, tileSide);
    const plan = packImage(planImage(width, height, grid, cells, maxTiles), grid, cells);
    const tiles = cutTiles(picture, grid, tileSide);
    return medium("image", { width, height, grid }, [{ tiles, tileCount: 1 + grid.columns * grid.rows, plan }]);
  }

  async #video(part: VideoContent, label: string, options: ProcessorOptions): Promise<UnplacedMedium> {
    const { tileSide, cells } = this.config.vision;
    const given = Array.isArray(part.frames) ? (part.frames as readonly PictureInput[]) : undefined;
    if (given && part.video !== undefined) {
      throw new PromptError({
        where: label,
        expected: "either `video` or an array of frames",
        got: "both",
        remedy: "leave one out; a number in `frames` says how many to take from the video",
      });
    }
    if (part.frames !== undefined && typeof part.frames !== "number" && !Array.isArray(part.frames)) {
      throw new PromptError({
        where: `${label}, frames`,
        expected: "how many frames, or an array of pictures",
        got: shown(part.frames),
        remedy: "leave it out for 16 frames of the video",
      });
    }
    const choice = {
      ...(typeof part.frames === "number" && { frames: part.frames }),
      ...(part.fps !== undefined && { fps: part.fps }),
      ...(part.start !== undefined && { startSeconds: part.start }),
      ...(part.end !== undefined && { endSeconds: part.end }),
      ...(part.track !== undefined && { track: part.track }),
    };
    // Imported on demand: pages load the clip code with the first clip.
    const { readFrames } = await import("../../io/video.js");
    const frames = readFrames(given ?? required(part.video, label, "video"), {
      ...choice,
      // Messages show the path instead of the label.
      ...(typeof part.video !== "string" && { label }),
      ...(options.orientation && { rotation: options.orientation }),
      ...(options.signal && { signal: options.signal }),
    });
    const tiles: Uint8Array[] = [];
    const seconds: number[] = [];
    let size: Pick<MediumView, "width" | "height"> | undefined;
    for await (const { picture, timestampSeconds } of frames) {
      size ??= { width: picture.width, height: picture.height };
      tiles.push(frameTile(picture, tileSide));
      if (timestampSeconds !== undefined) seconds.push(timestampSeconds);
    }
    const view = { width: 0, height: 0, ...size, ...(seconds.length > 0 && { frameSeconds: seconds }) };
    return clip(tiles, view, cells, options.signal);
  }

  /** Grey of the borders in pad mode: the mean pixel. */
  get #fill(): number {
    return Math.trunc(255 * this.config.imageMean[0]);
  }

  /** Normalises tiles `[n, S, S, 3]` to the input of the vision tower, `[n, 3, S, S]` f32. */
  normalised(tiles: Uint8Array): ArrayBuffer {
    const { levels } = this;
    const plane = this.config.vision.tileSide ** 2;
    const out = new Float32Array(tiles.length);
    for (let i = 0; i < tiles.length; i++) {
      const tile = Math.floor(i / (3 * plane));
      const pixel = Math.floor((i % (3 * plane)) / 3);
      const channel = i % 3;
      out[(tile * 3 + channel) * plane + pixel] = levels[channel * 256 + tiles[i]!]!;
    }
    return out.buffer;
  }

  /** `[3, 256]`: the normalised value of every level, rounded as float32 arithmetic rounds it. */
  get levels(): Float32Array {
    const { rescaleFactor, imageMean, imageStd } = this.config;
    const levels = new Float32Array(3 * 256);
    for (let channel = 0; channel < 3; channel++) {
      for (let level = 0; level < 256; level++) {
        const centred = Math.fround(Math.fround(level * rescaleFactor) - Math.fround(imageMean[channel]!));
        levels[channel * 256 + level] = centred / Math.fround(imageStd[channel]!);
      }
    }
    return levels;
  }
}

/** Texts without a common prefix, in characters and in tokens. */
const FOLLOWING = ["x", "\n", " 0"];

/** Returns the messages with a text appended to the last one. */
function followedBy(messages: readonly ChatMessage[], text: string): ChatMessage[] {
  const { role, content } = messages.at(-1)!;
  const parts = typeof content === "string" ? [{ type: "text" as const, text: content }] : content;
  return [...messages.slice(0, -1), { role, content: [...parts, { type: "text", text }] }];
}

/** Prepares a clip from its frames' tiles, in segments. */
async function clip(
  tiles: readonly Uint8Array[],
  view: MediumView,
  cells: number,
  signal: AbortSignal | undefined,
): Promise<UnplacedMedium> {
  const segments: Omit<Segment, "key">[] = [];
  for (let first = 0; first === 0 || first < tiles.length; first += FRAMES_A_SEGMENT) {
    const run = tiles.slice(first, first + FRAMES_A_SEGMENT);
    const plan = packVideo(run.length, cells, first + run.length === tiles.length);
    segments.push({ tiles: concatBytes(run), tileCount: run.length, plan });
    if (first + run.length < tiles.length) await pause(signal, "preparing the prompt");
  }
  return medium("video", view, segments);
}

async function medium(
  kind: PreparedMedium["kind"],
  view: MediumView,
  segments: Omit<Segment, "key">[],
): Promise<UnplacedMedium> {
  const keyed = await Promise.all(segments.map(async (segment) => ({ ...segment, key: await keyOf(segment) })));
  const tokens = segments.reduce((sum, { plan }) => sum + plan.tokens, 0);
  const tileCount = segments.reduce((sum, segment) => sum + segment.tileCount, 0);
  return { kind, view, segments: keyed, tileCount, tokens, key: `${kind} ${keyed.map(({ key }) => key).join(" ")}` };
}

/** The key includes the plan, which distinguishes pad mode from the same tile of an anyres picture. */
async function keyOf({ tiles, plan }: Omit<Segment, "key">): Promise<string> {
  const { tokens, featureRows, copies, resample } = plan;
  const places = new TextEncoder().encode(JSON.stringify([tokens, featureRows, copies, resample?.rows]));
  const digests = [tiles, places, resample?.sources, resample?.weights]
    .filter((bytes) => bytes !== undefined)
    .map((bytes) => crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>));
  return (await Promise.all(digests))
    .map((digest) => Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join(""))
    .join(" ");
}

/** Returns the media in the order of their spans. */
function inSequence(expanded: ExpandedPrompt, prepared: readonly UnplacedMedium[]): PreparedMedium[] {
  const byKind = {
    image: prepared.filter((medium) => medium.kind === "image"),
    video: prepared.filter((medium) => medium.kind === "video"),
  };
  return expanded.spans.map((span) => ({ ...byKind[span.kind][span.index]!, start: span.start }));
}

function required<T>(value: T | undefined, label: string, field: string): T {
  if (value !== undefined) return value;
  throw new PromptError({
    where: label,
    expected: `a part with \`${field}\``,
    got: "none",
    remedy: `give { type: "${label.split(" ")[0]}", ${field}: … }`,
  });
}
