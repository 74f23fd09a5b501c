import { type Signal, signal } from "@preact/signals";
import type { ContentPart, MeasuredMedium } from "ocellus";

/** A picture or clip of the visitor's. */
export interface Attachment {
  readonly id: number;
  readonly kind: "image" | "video";
  readonly file: File;
  /** Shows the file in the page. */
  readonly url: string;
  /** For clips: how many frames are taken, and of which seconds. */
  readonly frames: Signal<number>;
  readonly start: Signal<number | undefined>;
  readonly end: Signal<number | undefined>;
  /** What it takes, once the model has measured it. */
  readonly measured: Signal<MeasuredMedium | undefined>;
}

/** Frames of a clip where nothing else is asked for, as the model's authors have it. */
const FRAMES = 16;
export const MOST_FRAMES = 64;
let named = 0;

/** Whether a file is a clip; GIFs are taken as clips where they are asked about as such, else as pictures. */
function kindOf(file: File): "image" | "video" | undefined {
  if (file.type.startsWith("video/") || /\.(mp4|m4v|mov|webm|mkv)$/i.test(file.name)) return "video";
  if (file.type.startsWith("image/") || /\.(png|jpe?g|webp|gif|avif)$/i.test(file.name)) return "image";
  return undefined;
}

/** Undefined for a file that is neither. */
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

/** The part of a message that it is. */
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

/** What is told of attachment `i`: a prompt may have pictures before clips, but never pictures in another order. */
export function inOrder<T extends { readonly kind: "image" | "video" }>(
  told: readonly T[],
  media: readonly Attachment[],
  i: number,
): T | undefined {
  const { kind } = media[i]!;
  const before = media.slice(0, i).filter((other) => other.kind === kind).length;
  return told.filter((medium) => medium.kind === kind)[before];
}
