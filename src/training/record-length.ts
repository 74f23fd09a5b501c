import { type PictureInput, pictureSize, planAnyres } from "../io/picture-input.js";
import { blobSource, bytesSource, isBytes, mediumSource } from "../io/source.js";
import { DEFAULT_FRAMES } from "../io/video.js";
import { padImageTokens, planImage, videoTokens } from "../models/llava-onevision/packing.js";
import type { ImageMode, Processor, VideoContent } from "../models/llava-onevision/processor.js";
import { atRecord } from "./record-faults.js";
import type { TrainingMessage, TrainingRecord } from "./samples.js";

/** Frames of a clip that is sampled by its rate: the most that the family's training code takes. */
const FRAMES_BY_RATE = 32;

/**
 * Number of tokens of a record without its template: those of its texts, and its visual tokens. Of pictures the headers are read, nothing
 * is decoded. Throws SourceError and MediaError for pictures that can't be read.
 */
export async function recordLength(
  processor: Pick<Processor, "tokenizer" | "config">,
  { messages, load, where }: TrainingRecord,
  imageMode: ImageMode = "auto",
): Promise<number> {
  const { tokenizer, config } = processor;
  const parts = (load ? await load() : messages).flatMap(partsOf);
  const pictures = parts.filter((part) => part.type === "image").length;
  const isPadded = imageMode === "pad" || (imageMode === "auto" && pictures > 1);
  const { cells, tileSide } = config.vision;
  let length = 0;
  for (const part of parts) {
    if (part.type === "text") length += tokenizer.encode(part.text).length;
    else if (part.type === "tokens") length += part.tokens.length;
    else if (part.type === "video") length += videoTokens(framesOf(part), cells);
    else if (isPadded) length += padImageTokens(cells);
    else {
      const { width, height } = await sizeOf(part.image).catch((error: unknown) => {
        throw atRecord(error, where);
      });
      const grid = planAnyres(width, height, config.grids, tileSide);
      length += planImage(width, height, grid, cells, config.maxTiles).tokens;
    }
  }
  return length;
}

function partsOf({ content }: TrainingMessage): readonly Exclude<TrainingMessage["content"][number], string>[] {
  return typeof content === "string" ? [{ type: "text", text: content }] : content;
}

function framesOf({ frames, fps }: VideoContent): number {
  if (typeof frames === "number") return frames;
  return frames?.length ?? (fps === undefined ? DEFAULT_FRAMES : FRAMES_BY_RATE);
}

/** Size of a picture: of a file from its headers, of pixels as they say. */
async function sizeOf(picture: PictureInput): Promise<{ readonly width: number; readonly height: number }> {
  if (picture instanceof Blob) return pictureSize(blobSource(picture, "picture"));
  if (isBytes(picture)) return pictureSize(bytesSource(picture, "picture"));
  if (typeof picture === "string" || picture instanceof URL) {
    const path = String(picture);
    if (path.startsWith("data:")) return pictureSize(blobSource(await (await fetch(path)).blob(), "picture"));
    const source = await mediumSource(path, "picture");
    return pictureSize(source).finally(() => source.close());
  }
  const { width, height, displayWidth, displayHeight } = picture as Partial<
    Record<"width" | "height" | "displayWidth" | "displayHeight", number>
  >;
  return { width: width ?? displayWidth ?? 1, height: height ?? displayHeight ?? 1 };
}
