/** The size of a clip's frames, from its headers. */
import { CLIP_START_BYTES, clipFormat, unknownClip } from "../bytes/clip-format.js";
import { bytesSource } from "../bytes/source.js";
import { inspectPicture } from "../pictures/inspect-picture.js";
import { readMatroskaIndex } from "./matroska.js";
import { readClipIndex } from "./mp4.js";

/**
 * Returns the width and height in pixels of the frames of a clip file, as coded: no frame is decoded. `track` as in `VideoOptions`.
 * @throws MediaError naming `label` for a file that is no clip, or whose index is broken; OptionError for a track that it does not have;
 * AbortedError.
 */
export async function clipSize(
  bytes: Uint8Array,
  label: string,
  { track, signal }: { track?: number | undefined; signal?: AbortSignal | undefined } = {},
): Promise<{ readonly width: number; readonly height: number }> {
  const start = bytes.subarray(0, CLIP_START_BYTES);
  const format = clipFormat(start);
  if (!format) throw unknownClip(label, start);
  if (format === "gif" || format === "webp") return inspectPicture(bytes, label);
  const source = bytesSource(bytes, label);
  return format === "mp4"
    ? readClipIndex(source, label, signal, track)
    : readMatroskaIndex(source, label, { signal, track });
}
