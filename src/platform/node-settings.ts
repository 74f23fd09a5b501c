import { join } from "node:path";
import { cache } from "./node-cache.js";
import { homeFolder, userCacheFolder } from "./node-folders.js";
import type { Settings } from "./platform.js";

/** The file that `ocellus tune` writes, in the user's cache folder or in the one that OCELLUS_CACHE names. */
export const settings: Settings = {
  get path() {
    return join(folder(), "tuning.json");
  },
  // Off unless asked for: two runs of one program should do the same.
  get wanted() {
    return !["", "0", "false", "no"].includes((process.env.OCELLUS_TUNED ?? "").toLowerCase());
  },
  get stated() {
    return process.env.OCELLUS_TUNING?.trim() || undefined;
  },
  read: () => cache.readText(settings.path),
  write: (text) => cache.writeText(settings.path, text),
};

function folder(): string {
  const { OCELLUS_CACHE, LOCALAPPDATA } = process.env;
  if (OCELLUS_CACHE) return OCELLUS_CACHE;
  if (process.platform === "win32" && LOCALAPPDATA) return join(LOCALAPPDATA, "ocellus");
  const home = homeFolder();
  if (process.platform === "darwin" && home) return join(home, "Library", "Caches", "ocellus");
  return join(userCacheFolder(), "ocellus");
}
