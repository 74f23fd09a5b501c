import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { HubSettings } from "./file-cache.js";
import { homeFolder, userCacheFolder } from "./node-folders.js";

/**
 * The settings of huggingface_hub, by its rules: HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME;
 * HF_ENDPOINT; HF_HUB_OFFLINE; HF_TOKEN, HF_TOKEN_PATH and the file `token`.
 * Source: https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
 */
export async function hubSettings(): Promise<HubSettings> {
  const { env } = process;
  const home = expand(env.HF_HOME || join(userCacheFolder(), "huggingface"));
  const cacheFolder = expand(env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home, "hub"));
  const endpoint = env.HF_ENDPOINT;
  const token = await tokenOf(home);
  return {
    cacheFolder,
    offline: isTrue(env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE),
    ...(endpoint && { endpoint }),
    ...(token && { token }),
  };
}

async function tokenOf(home: string): Promise<string | undefined> {
  const { env } = process;
  if (isTrue(env.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return undefined;
  const stated = env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN;
  if (stated) return stated.trim();
  // A file that cannot be read is no token: most repositories need none.
  const bytes = await readFile(expand(env.HF_TOKEN_PATH || join(home, "token"))).catch(() => undefined);
  // PowerShell's > writes UTF-16; trim takes the byte order mark along.
  const isWide = bytes?.[0] === 0xff && bytes[1] === 0xfe;
  return bytes?.toString(isWide ? "utf16le" : "utf8").trim() || undefined;
}

/** `~`, `$NAME` and `${NAME}`; names without a value stay as they are. */
function expand(path: string): string {
  const named = path.replace(/\$(\w+)|\$\{([^}]+)\}/g, (whole, plain, braced) => process.env[plain ?? braced] ?? whole);
  return named.replace(/^~(?=$|[\\/])/, (tilde) => homeFolder() ?? tilde);
}

function isTrue(value: string | undefined): boolean {
  return ["1", "ON", "YES", "TRUE"].includes((value ?? "").toUpperCase());
}
