import { readFile, realpath, stat } from "node:fs/promises";
import { isAbsolute, join, relative } from "node:path";
import { causeMessage } from "../base/cause-message.js";
import { MAX_MEDIA_BYTES } from "../io/source.js";
import { RequestError } from "../openai/api-error.js";
import type { ReadMedia } from "../openai/content.js";

/** Reads files below one folder; symbolic links that leave it are rejected. */
export function filesBelow(folder: string): ReadMedia {
  return async (path, { param }) => {
    try {
      const root = await realpath(folder);
      const file = await realpath(join(root, path));
      const inside = relative(root, file);
      if (inside.startsWith("..") || isAbsolute(inside)) throw new Error("a path out of it");
      const found = await stat(file);
      const { size } = found;
      if (!found.isFile()) throw new Error("a folder, a pipe or a device");
      if (size > MAX_MEDIA_BYTES) throw new Error(`${size} bytes, over ${MAX_MEDIA_BYTES}`);
      return new Uint8Array(await readFile(file));
    } catch (cause) {
      throw new RequestError(param, {
        expected: `a data: URL, or a file below ${folder}`,
        got: `${path.slice(0, 60)} (${causeMessage(cause)})`,
        remedy: "give a path relative to --input-dir",
        cause,
      });
    }
  };
}
