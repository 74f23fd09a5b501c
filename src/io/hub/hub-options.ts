import type { UrlOptions } from "../bytes/source.js";
import type { DownloadProgress } from "./hub-progress.js";

/** Options of hub checkpoints. In Node they default to the environment variables of the Hugging Face tools. */
export interface HubOptions {
  /** Branch, tag or commit; "main" if not given. Also written `org/name@revision`. */
  revision?: string | undefined;
  /** For private and gated repositories (HF_TOKEN, or the file that `hf auth login` writes). "" sends none. */
  token?: string | undefined;
  /** Address of the hub (HF_ENDPOINT). */
  endpoint?: string | undefined;
  /** Offline mode: reads only the cache (HF_HUB_OFFLINE). */
  offline?: boolean | undefined;
  /** Whether to resolve a cached branch or tag on the hub again; by default the cached commit is used. */
  refresh?: boolean | undefined;
  /** Cache folder (HF_HUB_CACHE, HF_HOME). */
  cacheFolder?: string | undefined;
  /**
   * Streams weights by range requests, without caching and without checking hashes. Browser pages always stream uncached files;
   * dedicated workers download.
   */
  stream?: boolean | undefined;
  onDownload?: ((progress: DownloadProgress) => void) | undefined;
}

/** The names of {@link HubOptions}, for validation. */
export const HUB_OPTIONS = [
  "revision",
  "token",
  "endpoint",
  "offline",
  "refresh",
  "cacheFolder",
  "stream",
  "onDownload",
] as const satisfies readonly (keyof HubOptions)[];

/** `signal` stops the opening, downloads, and every read of config files and headers. */
export type CheckpointOptions = Pick<
  UrlOptions,
  "headers" | "fetch" | "signal" | "retryDelayMilliseconds" | "idleMilliseconds"
> &
  HubOptions & {
    /** Only configs and headers are read: hub files that are not cached are read by range requests, and not cached. */
    inspect?: boolean | undefined;
  };
