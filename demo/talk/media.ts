import { type Signal, signal } from "@preact/signals";
import type { ContentPart, MeasuredMedium } from "ocellus";

/** A picture or clip of the visitor. */
export interface Attachment {
  readonly id: number;
  readonly kind: "image" | "video";
  readonly file: File;
  /** Object URL of the file. */
  readonly url: string;
  /** For clips: the number of frames, and the first and last second. */
  readonly frames: Signal<number>;
  readonly start: Signal<number | undefined>;
  readonly end: Signal<number | undefined>;
  /** Its tiles and tokens, once the model has measured them. */
  readonly measured: Signal<MeasuredMedium | undefined>;
}

/** Default number of frames of a clip, as in the model's original code. */
const FRAMES = 16;
export const MOST_FRAMES = 64;
let named = 0;

/** Returns whether a file is a picture or a clip; undefined if neither. GIFs are pictures. */
function kindOf(file: File): "image" | "video" | undefined {
  if (file.type.startsWith("video/") || /\.(mp4|m4v|mov|webm|mkv)$/i.test(file.name)) return "video";
  if (file.type.startsWith("image/") || /\.(png|jpe?g|webp|gif|avif)$/i.test(file.name)) return "image";
  return undefined;
}

/** Returns undefined for a file that is neither picture nor clip. */
export function attachmentOf(file: File, frames = FRAMES): Attachment | undefined {
  const kind = kindOf(file);
  if (!kind) return undefined;
  return {
    id: ++named,
    kind,
    file,
    url: URL.createObjectURL(file),
    frames: signal(frames),
    start: signal(undefined),
    end: signal(undefined),
    measured: signal(undefined),
  };
}

/** Returns the message part for an attachment. */
export function partOf({ kind, file, frames, start, end }: Attachment): ContentPart {
  if (kind === "image") return { type: "image", image: file };
  return {
    type: "video",
    video: file,
    frames: frames.value,
    ...(start.value !== undefined && { start: start.value }),
    ...(end.value !== undefined && { end: end.value }),
  };
}

/**
 * Returns the entry of `listed` that belongs to attachment `i`. A prompt may have pictures before clips, but never changes the order
 * of pictures among themselves.
 */
export function inOrder<T extends { readonly kind: "image" | "video" }>(
  listed: readonly T[],
  media: readonly Attachment[],
  i: number,
): T | undefined {
  const { kind } = media[i]!;
  const before = media.slice(0, i).filter((other) => other.kind === kind).length;
  return listed.filter((medium) => medium.kind === kind)[before];
}
