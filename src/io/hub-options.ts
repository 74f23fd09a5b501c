import type { DownloadProgress } from "./hub-progress.js";

/** How a checkpoint of the hub is found and brought. In Node the variables of the Hugging Face tools stand in for options left out. */
export interface HubOptions {
  /** Branch, tag or commit; "main" if not given. Also written `org/name@revision`. */
  revision?: string | undefined;
  /** For private and gated repositories (HF_TOKEN, or the file that `hf auth login` writes). "" sends none. */
  token?: string | undefined;
  /** Address of the hub (HF_ENDPOINT). */
  endpoint?: string | undefined;
  /** Reads the cache folder alone (HF_HUB_OFFLINE). */
  offline?: boolean | undefined;
  /** A branch or tag found in the cache is taken as it was; true asks the hub what it means now. */
  refresh?: boolean | undefined;
  /** Where downloads are kept (HF_HUB_CACHE, HF_HOME). */
  cacheFolder?: string | undefined;
  /** Reads byte ranges over the network and keeps no file; so it always is in the browser. Hashes are not checked then. */
  stream?: boolean | undefined;
  onDownload?: ((progress: DownloadProgress) => void) | undefined;
}

/** The names of {@link HubOptions}, for those who check names. */
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
