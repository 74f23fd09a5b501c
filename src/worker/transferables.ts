import { platform } from "#platform";
import { OptionError } from "../base/errors.js";
import { isObject } from "../base/is-object.js";
import type { CheckpointLocation, NamedBlob } from "../io/checkpoint.js";
import { type PictureInput, readPicture } from "../io/picture-input.js";
import { type Bytes, copyOf, isBytes, viewOf } from "../io/source.js";
import type { SentFile, SentMedium, SentOptions } from "./messages.js";

export interface TransferableOptions {
  /** Objects that the caller transfers. */
  readonly transfer?: readonly Transferable[] | undefined;
  readonly orientation?: "apply" | "ignore" | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Prepares the arguments of one call to a worker. Bytes, pixels, bitmaps, canvases and frames are copied, and the copies are
 * transferred: the caller's objects stay usable, except those in `transfer`. Blobs and files are sent without their bytes.
 */
export class Transferables {
  readonly transfer: Transferable[];
  readonly #given: ReadonlySet<unknown>;
  readonly #counts = { image: 0, video: 0 };

  constructor(private readonly options: TransferableOptions = {}) {
    this.transfer = [...(options.transfer ?? [])];
    this.#given = new Set(options.transfer);
  }

  /**
   * Converts a text, parts or messages for sending. `refOf` numbers parts with media. Values of wrong types are sent unchanged: the
   * session in the worker reports them.
   */
  async input(input: unknown, refOf: (part: object) => number): Promise<unknown> {
    if (!Array.isArray(input)) return input;
    return Promise.all(
      input.map(async (item: unknown) => {
        if (!isObject(item) || !("role" in item)) return this.#part(item, refOf);
        const { content } = item;
        if (!Array.isArray(content)) return item;
        return { ...item, content: await Promise.all(content.map((part: unknown) => this.#part(part, refOf))) };
      }),
    );
  }

  async #part(part: unknown, refOf: (part: object) => number): Promise<unknown> {
    if (!isObject(part)) return part;
    const { image, video, frames } = part;
    if (image === undefined && video === undefined && !Array.isArray(frames)) return part;
    const kind = image === undefined ? "video" : "image";
    const label = `${kind} ${++this.#counts[kind]}`;
    const ref = refOf(part);
    const sent = {
      ...part,
      ...(image !== undefined && { image: await this.picture(image, label) }),
      ...(video !== undefined && { video: await this.#video(video, label) }),
      ...(Array.isArray(frames) && { frames: await this.#pictures(frames, label) }),
    };
    const source = image ?? video;
    const blob = source instanceof Blob ? numberOf(source) : undefined;
    return { ref, part: sent, ...(blob !== undefined && { blob }) } satisfies SentMedium;
  }

  #pictures(pictures: readonly unknown[], label: string): Promise<unknown[]> {
    return Promise.all(pictures.map((picture, i) => this.picture(picture, `${label}, frame ${i + 1}`)));
  }

  /** Converts a picture. Throws MediaError as `readPicture` does. */
  async picture(picture: unknown, label: string): Promise<unknown> {
    // A list is no picture, and the reader says so.
    if (Array.isArray(picture)) return readPicture(picture as unknown as PictureInput, label, this.options);
    if (!isObject(picture)) return picture;
    const simple = this.#simple(picture, label);
    if (simple !== undefined) return simple;
    if (this.#given.has(picture)) return picture;
    if ("data" in picture) return ArrayBuffer.isView(picture.data) ? this.#pixels(picture, label) : picture;
    const copy = await platform.snapshot(picture, label);
    if (!copy) return readPicture(picture as unknown as PictureInput, label, this.options);
    this.transfer.push(copy);
    return copy;
  }

  async #video(video: unknown, label: string): Promise<unknown> {
    if (Array.isArray(video)) return this.#pictures(video, label);
    if (!isObject(video)) return video;
    const simple = this.#simple(video, label);
    if (simple !== undefined) return simple;
    if (Symbol.asyncIterator in video) {
      const pictures: unknown[] = [];
      for await (const picture of video as unknown as AsyncIterable<unknown>) {
        pictures.push(await this.picture(picture, `${label}, frame ${pictures.length + 1}`));
      }
      return pictures;
    }
    if (!("read" in video)) return video;
    throw new OptionError({
      where: label,
      expected: "a clip that can be sent to a worker",
      got: "a ByteSource, whose functions stay in the page",
      remedy: "give a File, a Blob, a URL or the bytes",
    });
  }

  /** Converts inputs that are cloneable or bytes; undefined for others. */
  #simple(value: object, label: string): unknown {
    // The structured clone of a URL is an empty object in Node.
    if (value instanceof URL) return value.href;
    if (value instanceof Blob) return value;
    if (!isBytes(value)) return undefined;
    const bytes = this.#bytes(value, label);
    return ArrayBuffer.isView(value) ? bytes : bytes.buffer;
  }

  /** Copies the bytes of a view; cloning would copy its whole buffer. */
  #bytes(bytes: Bytes, label: string): Uint8Array {
    const buffer = ArrayBuffer.isView(bytes) ? bytes.buffer : bytes;
    if (this.#given.has(buffer)) return viewOf(bytes, label);
    const copy = copyOf(bytes, label);
    this.transfer.push(copy.buffer);
    return copy;
  }

  /** Copies pixels; elements of more than one byte are rejected in the worker. */
  #pixels({ data, width, height }: Record<string, unknown>, label: string): object {
    const single = (data as Uint8Array).BYTES_PER_ELEMENT === 1;
    return { data: single ? this.#bytes(data as Uint8Array, label) : data, width, height };
  }
}

const NUMBERS = new WeakMap<Blob, number>();
let blobs = 0;

/** Numbers Blobs, so that the worker recognises one that it was sent before. */
function numberOf(blob: Blob): number {
  const number = NUMBERS.get(blob) ?? ++blobs;
  NUMBERS.set(blob, number);
  return number;
}

export function sendLocation(location: CheckpointLocation): string | SentFile[] {
  if (typeof location === "string" || location instanceof URL) return String(location);
  return Array.from(location, (file: NamedBlob) => ({
    blob: file,
    name: file.name,
    path: file.webkitRelativePath,
  }));
}

/** Converts options for sending: functions stay here, and are called by name. Throws OptionError for `refused` ones. */
export function sendOptions(where: string, options: object, refused: Readonly<Record<string, string>>): SentOptions {
  const values: Record<string, unknown> = {};
  const callbacks: string[] = [];
  for (const [name, value] of Object.entries(options)) {
    if (name in refused && value !== undefined) {
      throw new OptionError({
        where,
        expected: `no \`${name}\` for a model in a worker`,
        got: "one",
        remedy: refused[name]!,
      });
    }
    if (name === "signal" || name === "transfer") continue;
    if (typeof value === "function") callbacks.push(name);
    else values[name] = value;
  }
  return { values, callbacks, signal: ("signal" in options && options.signal !== undefined) || callbacks.length > 0 };
}
