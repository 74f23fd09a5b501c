import { type Signal, signal } from "@preact/signals";
import type { ContentPart, MeasuredMedium } from "ocellus";
import { drawMarks, type Mark } from "./marks.js";

/** A picture or clip of the visitor. */
export interface Attachment {
  /** Unique, also in this browser's storage. */
  readonly id: string;
  readonly kind: "image" | "video";
  /** As it was added. */
  readonly file: File;
  /** What the model gets: the file, or a picture with the marks drawn into it. */
  readonly sent: Signal<File>;
  /** Object URL of what the model gets. */
  readonly url: Signal<string>;
  /** Numbered marks and boxes on a picture. */
  readonly marks: Signal<readonly Mark[]>;
  /** For clips: the number of frames, and the first and last second. */
  readonly frames: Signal<number>;
  readonly start: Signal<number | undefined>;
  readonly end: Signal<number | undefined>;
  /** Its tiles and tokens, once the model has measured them. */
  readonly measured: Signal<MeasuredMedium | undefined>;
}

/** An attachment without its file, for this browser's storage. */
export interface SavedAttachment {
  readonly id: string;
  readonly kind: "image" | "video";
  readonly marks: readonly Mark[];
  readonly frames: number;
  readonly start: number | undefined;
  readonly end: number | undefined;
}

/** Default number of frames of a clip, as in the model's original code. */
export const FRAMES = 16;
export const MOST_FRAMES = 64;

/** Returns whether a file is a picture or a clip; undefined if neither. Animated pictures are clips. */
async function kindOf(file: File): Promise<"image" | "video" | undefined> {
  if (file.type.startsWith("video/") || /\.(mp4|m4v|mov|webm|mkv)$/i.test(file.name)) return "video";
  if (file.type.startsWith("image/") || /\.(png|jpe?g|webp|gif|avif)$/i.test(file.name)) {
    return (await isAnimated(file)) ? "video" : "image";
  }
  return undefined;
}

/** Whether a picture has several frames, where the browser can tell; the library reads animated GIF and WebP files as clips. */
async function isAnimated(file: File): Promise<boolean> {
  const isCandidate = /gif|webp/.test(file.type) || /\.(gif|webp)$/i.test(file.name);
  if (!isCandidate || !("ImageDecoder" in globalThis)) return false;
  const type = file.type || `image/${file.name.split(".").at(-1)!.toLowerCase()}`;
  let decoder: ImageDecoder | undefined;
  try {
    decoder = new ImageDecoder({ data: file.stream(), type });
    await decoder.completed;
    return (decoder.tracks.selectedTrack?.frameCount ?? 1) > 1;
  } catch {
    // A broken file is refused where it is measured.
    return false;
  } finally {
    decoder?.close();
  }
}

/** Returns undefined for a file that is neither picture nor clip. */
export async function attachmentOf(file: File, frames = FRAMES): Promise<Attachment | undefined> {
  const kind = await kindOf(file);
  if (!kind) return undefined;
  const id = crypto.randomUUID();
  return restored({ id, kind, marks: [], frames, start: undefined, end: undefined }, file);
}

/** The attachment that was saved, with its file. */
export async function restored({ id, kind, marks, ...range }: SavedAttachment, file: File): Promise<Attachment> {
  const attachment: Attachment = {
    id,
    kind,
    file,
    sent: signal(file),
    url: signal(URL.createObjectURL(file)),
    marks: signal([]),
    frames: signal(range.frames),
    start: signal(range.start),
    end: signal(range.end),
    measured: signal(undefined),
  };
  if (marks.length > 0) await mark(attachment, marks);
  return attachment;
}

export function saved({ id, kind, marks, frames, start, end }: Attachment): SavedAttachment {
  return { id, kind, marks: marks.value, frames: frames.value, start: start.value, end: end.value };
}

/** Number of files and marks that are being read and drawn: a question with them is sent afterwards. */
export const pending = signal(0);

/** Counts work that a question waits for, until what it changes is changed. */
export async function during<T>(work: Promise<T>): Promise<T> {
  pending.value++;
  return work.finally(() => pending.value--);
}

/** Time without changes before marks are drawn: a mark that is dragged changes with every frame. */
const QUIET_MS = 150;
/** Pictures that are being drawn, one at a time each: a large one takes a second and much memory. */
const drawing = new WeakMap<Attachment, Promise<void>>();

/** Draws marks into a picture, in the place of those before. */
export function mark(attachment: Attachment, marks: readonly Mark[]): Promise<void> {
  attachment.marks.value = marks;
  const running = drawing.get(attachment) ?? during(draw(attachment)).finally(() => drawing.delete(attachment));
  drawing.set(attachment, running);
  return running;
}

async function draw({ file, sent, url, marks }: Attachment): Promise<void> {
  for (;;) {
    const latest = marks.value;
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    if (marks.value !== latest) continue;
    const drawn = latest.length === 0 ? file : await drawMarks(file, latest);
    if (marks.value !== latest) continue;
    URL.revokeObjectURL(url.value);
    sent.value = drawn;
    url.value = URL.createObjectURL(drawn);
    return;
  }
}

/** Returns the message part for an attachment. */
export function partOf({ kind, sent, frames, start, end }: Attachment): ContentPart {
  if (kind === "image") return { type: "image", image: sent.value };
  return {
    type: "video",
    video: sent.value,
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
