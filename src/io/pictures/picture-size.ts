import { MediaError } from "../../base/errors.js";
import type { ByteSource } from "../bytes/source.js";
import { inspectPicture } from "./inspect-picture.js";

/** Bytes in which most files have their headers. */
const HEAD_BYTES = 2 ** 16;

/** Width and height of a picture as it is shown, from its headers: nothing is decoded. Throws MediaError, SourceError, AbortedError. */
export async function pictureSize(
  source: ByteSource,
  signal?: AbortSignal,
): Promise<{ readonly width: number; readonly height: number }> {
  const { name, sizeBytes } = source;
  const head = await source.read(0, Math.min(sizeBytes, HEAD_BYTES), signal);
  try {
    return shown(head, name);
  } catch (error) {
    if (!(error instanceof MediaError) || head.length === sizeBytes) throw error;
  }
  // Profiles and metadata may come first.
  return shown(await source.read(0, sizeBytes, signal), name);
}

/** Orientations from 5 on turn a picture by a quarter. */
function shown(bytes: Uint8Array, where: string): { width: number; height: number } {
  const { width, height, orientation } = inspectPicture(bytes, where);
  return orientation >= 5 ? { width: height, height: width } : { width, height };
}
