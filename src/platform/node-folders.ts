import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

/**
 * The user's home folder; undefined where HOME is not set and the user is not in the password file (containers run under a
 * number).
 */
export function homeFolder(): string | undefined {
  try {
    return homedir() || undefined;
  } catch {
    return undefined;
  }
}

/**
 * The user's folder for caches: XDG_CACHE_HOME, else the platform's own; where there is no home, a temporary folder of this
 * user.
 */
export function userCacheFolder(): string {
  const { XDG_CACHE_HOME } = process.env;
  const home = homeFolder();
  if (XDG_CACHE_HOME) return XDG_CACHE_HOME;
  return home ? join(home, ".cache") : join(tmpdir(), `cache-${userName()}`);
}

/** User id, to separate the folders of users. */
export function userName(): string {
  return String(process.getuid?.() ?? "user");
}
