import { cutTiles, frameTile, padTile, planAnyres } from "../../io/anyres.js";
import type { Picture } from "../../io/image.js";
import { type PictureInput, readPicture } from "../../io/picture-input.js";
import type { Tokenizer } from "../../io/tokenizer.js";
import { PromptError, throwIfAborted } from "../../runtime/errors.js";
import type { LlavaOneVisionConfig } from "./config.js";
import { type PackingPlan, packImage, packPadImage, packVideo, planImage } from "./packing.js";
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

/** A clip in a message, as decoded pictures in the order of time; every one is used. */
export interface VideoContent {
  type: "video";
  frames: readonly PictureInput[];
}

export interface TextContent {
  type: "text";
  text: string;
}

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
  signal?: AbortSignal | undefined;
}

/** One picture or clip, ready for the GPU. */
export interface PreparedMedium {
  kind: "image" | "video";
  /** `[N, S, S, 3]` RGB8 */
  tiles: Uint8Array;
  tileCount: number;
  plan: PackingPlan;
  /** Row of the sequence at which its visual tokens begin. */
  start: number;
}

/** A prompt, ready for the GPU. */
export interface PreparedPrompt extends ExpandedPrompt {
  text: string;
  /** In the order of the sequence. */
  media: PreparedMedium[];
}

/** Messages to token ids and tiles, on the CPU. Owns nothing. */
export class Processor {
  constructor(
    readonly config: LlavaOneVisionConfig,
    readonly tokenizer: Tokenizer,
    readonly template: ChatTemplate,
    readonly placeholders: PlaceholderIds,
  ) {}

  /** Throws PromptError, MediaError, SourceError, AbortedError. */
  async prepare(messages: readonly ChatMessage[], options: ProcessorOptions = {}): Promise<PreparedPrompt> {
    const template = options.template === "onevision" ? ChatTemplate.onevision : this.template;
    const text = renderPrompt(messages as readonly Message[], template);
    const parts = mediaOf(messages as readonly Message<ImageContent, VideoContent>[]);
    const images = parts.filter((part) => part.type === "image").length;
    const mode =
      !options.imageMode || options.imageMode === "auto" ? (images > 1 ? "pad" : "anyres") : options.imageMode;
    const prepared: Omit<PreparedMedium, "start">[] = [];
    for (const part of parts) {
      throwIfAborted(options.signal, "preparing the prompt");
      const label = `${part.type} ${prepared.filter((m) => m.kind === part.type).length + 1}`;
      prepared.push(
        part.type === "image"
          ? this.#image(await readPicture(required(part.image, label, "image"), label, options), mode)
          : await this.#video(required(part.frames, label, "frames"), label, options),
      );
    }
    const media = prepared.map(({ kind, plan }) => ({ kind, tokens: plan.tokens }));
    const expanded = expandPrompt(text, media, this.tokenizer, this.placeholders);
    return { ...expanded, text, media: inSequence(expanded, prepared) };
  }

  #image(picture: Picture, mode: "anyres" | "pad"): Omit<PreparedMedium, "start"> {
    const { vision, grids, maxTiles } = this.config;
    const { tileSide, cells } = vision;
    if (mode === "pad") {
      return { kind: "image", tiles: padTile(picture, tileSide, this.#fill), tileCount: 1, plan: packPadImage(cells) };
    }
    const plan = planAnyres(picture.width, picture.height, grids, tileSide);
    const packing = planImage(picture.width, picture.height, plan, cells, maxTiles);
    const tileCount = 1 + plan.columns * plan.rows;
    return {
      kind: "image",
      tiles: cutTiles(picture, plan, tileSide),
      tileCount,
      plan: packImage(packing, plan, cells),
    };
  }

  async #video(
    frames: readonly PictureInput[],
    label: string,
    options: ProcessorOptions,
  ): Promise<Omit<PreparedMedium, "start">> {
    const { tileSide, cells } = this.config.vision;
    const tileBytes = tileSide * tileSide * 3;
    const plan = packVideo(frames.length, cells);
    const tiles = new Uint8Array(frames.length * tileBytes);
    for (const [i, frame] of frames.entries()) {
      const picture = await readPicture(frame, `${label}, frame ${i + 1}`, options);
      tiles.set(frameTile(picture, tileSide), i * tileBytes);
    }
    return { kind: "video", tiles, tileCount: frames.length, plan };
  }

  /** Grey of the borders in pad mode: the mean pixel. */
  get #fill(): number {
    return Math.trunc(255 * this.config.imageMean[0]);
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

/** The media in the order of their spans. */
function inSequence(expanded: ExpandedPrompt, prepared: readonly Omit<PreparedMedium, "start">[]): PreparedMedium[] {
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
