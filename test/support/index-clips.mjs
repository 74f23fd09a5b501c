/**
 * Reads the indexes of clips with the built library, in a process of its own: what would end a process ends this one, and
 * the peak of its memory is theirs. Arguments: a clip to begin with, for what the code itself takes, then the clips.
 * Prints a line of JSON for each.
 */
import { basename } from "node:path";
import { OcellusError } from "../../dist/base/errors.js";
import { fileSource } from "../../dist/io/bytes/source.js";
import { readMatroskaIndex } from "../../dist/io/video/matroska.js";
import { readClipIndex } from "../../dist/io/video/mp4.js";

const [first, ...clips] = process.argv.slice(2);
const read = (source, path) => (/\.webm$/.test(path) ? readMatroskaIndex : readClipIndex)(source, "clip");
const known = await fileSource(first);
await read(known, first);
await known.close();
const peakBytes = () => process.resourceUsage().maxRSS * 1024;
const before = peakBytes();
for (const path of clips) {
  const source = await fileSource(path);
  const started = performance.now();
  const result = { name: basename(path), fileBytes: source.sizeBytes };
  try {
    const { samples, frames } = await read(source, path);
    Object.assign(result, { samples: samples.length, frames: frames.length });
  } catch (error) {
    const code = error instanceof OcellusError ? error.code : `untyped ${error?.stack}`;
    Object.assign(result, { code, message: String(error?.message) });
  }
  await source.close();
  const milliseconds = Math.round(performance.now() - started);
  console.log(JSON.stringify({ ...result, milliseconds, peakBytes: peakBytes() - before }));
}
