import type { CheckpointLocation, NamedBlob } from "../io/checkpoint.js";
import { type PictureInput, readPicture } from "../io/picture-input.js";
import { ownPart } from "../models/cached-media.js";
import type { ChatMessage } from "../models/llava-onevision/processor.js";
import type { SentFile, SentMedium, SentMessage } from "./messages.js";

/** Files with the names that they had in the page. */
export function receiveLocation(location: string | readonly SentFile[]): CheckpointLocation {
  if (typeof location === "string") return location;
  return location.map(({ blob, name, path }) => {
    // Defined, not set: where the clone is a File its name cannot be written.
    Object.defineProperty(blob, "name", { value: name });
    if (path !== undefined) Object.defineProperty(blob, "webkitRelativePath", { value: path });
    return blob as NamedBlob;
  });
}

interface ReadOptions {
  readonly orientation?: "apply" | "ignore";
  readonly signal?: AbortSignal;
}

/** The page's numbers of the media that came from it, so that conversations go back without them. */
export class ReceivedMedia {
  /** By the picture or clip itself: sessions may keep copies of parts. */
  readonly #refs = new WeakMap<object, number>();

  /** What `Transferables.input` sent, as a session takes it. */
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

  /** A conversation as it goes back to the page. */
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

/** The pixels of a bitmap or frame, which is then closed: a conversation holds on to its pictures, and memory is the cheaper place. */
async function readDecoded(picture: unknown, where: string, options: ReadOptions): Promise<unknown> {
  if (!isClosable(picture)) return picture;
  try {
    return await readPicture(picture as unknown as PictureInput, where, options);
  } finally {
    picture.close();
  }
}

/** Bitmaps and frames alone have it among what is sent. */
function isClosable(picture: unknown): picture is { close(): void } {
  return typeof picture === "object" && picture !== null && "close" in picture && typeof picture.close === "function";
}
