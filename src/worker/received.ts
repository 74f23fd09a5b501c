import type { CheckpointLocation, NamedBlob } from "../io/checkpoint.js";
import { type PictureInput, readPicture } from "../io/picture-input.js";
import { ownPart } from "../models/chat/cached-media.js";
import type { ChatMessage } from "../models/llava-onevision/processor.js";
import type { SentFile, SentMedium, SentMessage } from "./messages.js";

/** Restores the names of Files. */
export function receiveLocation(location: string | readonly SentFile[]): CheckpointLocation {
  if (typeof location === "string") return location;
  return location.map(({ blob, name, path }) => {
    // defineProperty: the name of a File is read-only.
    Object.defineProperty(blob, "name", { value: name });
    if (path !== undefined) Object.defineProperty(blob, "webkitRelativePath", { value: path });
    return blob as NamedBlob;
  });
}

const MOST_BLOBS = 64;

interface ReadOptions {
  readonly orientation?: "apply" | "ignore";
  readonly signal?: AbortSignal | undefined;
}

/** Maps received media to the page's numbers, so that conversations are sent back without the media. */
export class ReceivedMedia {
  /** By the medium itself: sessions may copy parts. */
  readonly #refs = new WeakMap<object, number>();
  /** Recent Blobs by the page's numbers, in order of last use. */
  readonly #blobs = new Map<number, Blob>();

  /** Converts what `Transferables.input` sent to a session's input. */
  async input(input: unknown, options: ReadOptions): Promise<unknown> {
    if (!Array.isArray(input)) return input;
    return Promise.all(
      input.map(async (item: unknown) => {
        const { content } = (item ?? {}) as { content?: unknown };
        if (!Array.isArray(content)) return this.#part(item, options);
        const parts = await Promise.all(content.map((part: unknown) => this.#part(part, options)));
        return { ...(item as object), content: parts };
      }),
    );
  }

  async #part(sent: unknown, options: ReadOptions): Promise<unknown> {
    if (!isMedium(sent)) return sent;
    const part: Record<string, unknown> = { ...sent.part };
    for (const name of ["image", "video"]) {
      if (sent.blob !== undefined && part[name] instanceof Blob) part[name] = this.#known(sent.blob, part[name]);
    }
    const read = (picture: unknown, where: string) => readDecoded(picture, where, options);
    if (part.image !== undefined) part.image = await read(part.image, "image");
    for (const name of ["video", "frames"]) {
      const frames = part[name];
      if (!Array.isArray(frames)) continue;
      part[name] = await Promise.all(frames.map((frame: unknown, i) => read(frame, `video, frame ${i + 1}`)));
    }
    const key = keyOf(part);
    if (key) this.#refs.set(key, sent.ref);
    return ownPart(part);
  }

  /** Returns the Blob that was received under a number before: prepared tiles are cached by its identity. */
  #known(number: number, received: Blob): Blob {
    const blob = this.#blobs.get(number) ?? received;
    this.#blobs.delete(number);
    this.#blobs.set(number, blob);
    const [oldest] = this.#blobs.keys();
    if (this.#blobs.size > MOST_BLOBS) this.#blobs.delete(oldest!);
    return blob;
  }

  /** Converts a conversation to send it back to the page. */
  messages(messages: readonly ChatMessage[]): SentMessage[] {
    return messages.map(({ role, content }) => ({
      role,
      content: typeof content === "string" ? content : content.map((part) => this.#named(part)),
    }));
  }

  #named(part: object): object {
    const key = keyOf(part as Record<string, unknown>);
    const ref = key && this.#refs.get(key);
    return ref === undefined ? part : { ref };
  }
}

function isMedium(sent: unknown): sent is SentMedium {
  return typeof sent === "object" && sent !== null && "ref" in sent && "part" in sent;
}

function keyOf({ image, video, frames }: Record<string, unknown>): object | undefined {
  return [image, video, frames].find((value) => typeof value === "object" && value !== null) as object | undefined;
}

/**
 * Reads the pixels of a bitmap or frame and closes it: conversations keep their pictures, and host memory is cheaper than GPU
 * memory.
 */
async function readDecoded(picture: unknown, where: string, options: ReadOptions): Promise<unknown> {
  if (!isClosable(picture)) return picture;
  try {
    return await readPicture(picture as unknown as PictureInput, where, options);
  } finally {
    picture.close();
  }
}

/** Whether a picture is a bitmap or frame, the only sent objects with `close`. */
function isClosable(picture: unknown): picture is { close(): void } {
  return typeof picture === "object" && picture !== null && "close" in picture && typeof picture.close === "function";
}
