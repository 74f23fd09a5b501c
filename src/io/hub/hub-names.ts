/** Names of the Hugging Face hub: repositories, revisions, files, and their paths in the cache folder. */

import { CheckpointError, OptionError } from "../../base/errors.js";

/** A repository, and the branch, tag or commit if the name gives one. */
export interface HubId {
  /** `org/name` */
  readonly name: string;
  readonly revision?: string;
}

/** A file of a repository at one commit. */
export interface HubFile {
  /** Relative, with "/" between folder and file. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Name of its blob in the cache: SHA-256 of a large file, git's SHA-1 of a small one; lower-case hexadecimal. */
  readonly hash: string;
  /** git's SHA-1; for large files that of the LFS pointer. */
  readonly gitHash: string;
  /** Hash in the Xet store; stored for other readers of the listing. */
  readonly xetHash?: string;
}

/** Parses `org/name` or `org/name@revision`; undefined for paths. */
export function parseHubId(text: string): HubId | undefined {
  const [, name, revision] = /^([^@]+)(?:@(.+))?$/.exec(text) ?? [];
  if (name === undefined) return undefined;
  const parts = name.split("/");
  if (parts.length !== 2 || !parts.every((part) => /^\w[\w.-]{0,95}$/.test(part))) return undefined;
  // The cache writes "/" as "--", so a name cannot have one.
  if (/--|\.\./.test(name) || /[.-]$|\.git$/.test(name)) return undefined;
  return revision === undefined ? { name } : { name, revision };
}

/** Returns the revision of id and option; "main" if neither has one. Throws OptionError if they differ or are invalid. */
export function revisionOf(id: HubId, option: string | undefined): string {
  if (id.revision !== undefined && option !== undefined && id.revision !== option) {
    throw new OptionError({
      where: `${id.name}: revision`,
      expected: "one revision",
      got: `${id.revision} in the id and ${option} in the option`,
      remedy: "give it once",
    });
  }
  const revision = id.revision ?? option ?? "main";
  // It becomes a path in the cache folder.
  if (!isSafePath(revision)) {
    throw new OptionError({
      where: `${id.name}: revision`,
      expected: "a branch, a tag or a commit",
      got: JSON.stringify(revision),
      remedy: "give for example main, or the 40 digits of a commit",
    });
  }
  return revision;
}

/** Whether a revision is a full commit, which never changes. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

/**
 * Validates a file of a listing: paths outside the folder and invalid hashes are rejected.
 * @throws CheckpointError
 */
export function hubFile(
  where: string,
  path: unknown,
  size: unknown,
  git: unknown,
  lfs: unknown,
  xet: unknown,
): HubFile {
  const gitHash = typeof git === "string" ? git : "";
  const hash = typeof lfs === "string" ? lfs : gitHash;
  const known =
    typeof path === "string" && isSafePath(path) && Number.isSafeInteger(size) && hashOf(hash) !== undefined;
  if (!known) {
    throw new CheckpointError({
      where,
      expected: "path, size and hash of every file",
      got: JSON.stringify({ path, size, hash }),
      remedy: "check that the endpoint is a Hugging Face hub; do not trust its files",
    });
  }
  return { path, sizeBytes: size as number, hash, gitHash, ...(typeof xet === "string" && { xetHash: xet }) };
}

/** Hash algorithm of a blob by the length of its etag: git's SHA-1 (40 digits), or SHA-256 (64). */
export function hashOf(etag: string): "git-sha1" | "sha256" | undefined {
  if (/^[0-9a-f]{40}$/.test(etag)) return "git-sha1";
  return /^[0-9a-f]{64}$/.test(etag) ? "sha256" : undefined;
}

/** Prefix of git's blob hash. Source: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects */
export function gitHeader(sizeBytes: number): Uint8Array {
  return new TextEncoder().encode(`blob ${sizeBytes}\0`);
}

/** Whether a path is relative and stays within its folder, on all systems. */
function isSafePath(path: string): boolean {
  // Lone surrogates cannot be part of an address.
  return (
    !/[\p{Cs}\\:*?"<>|]/u.test(path) &&
    !CONTROLS.test(path) &&
    path.split("/").every((part) => !/^(|\.|\.\.)$/.test(part))
  );
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
const CONTROLS = /[\u0000-\u001f]/;

/** The default endpoint. */
export const PUBLIC_HUB = "https://huggingface.co";

const SINGLE = "model.safetensors";

/**
 * Selects the files of a listing that a model needs: configs and weights. Weights in other formats, exports for other runtimes and a
 * second, sharded copy of the weights are excluded.
 */
export function neededFiles(files: readonly HubFile[]): { configs: HubFile[]; weights: HubFile[] } {
  const configs = files.filter(({ path }) => /\.(json|jinja)$/.test(path) && !/^(onnx|runs|\.[^/]*)\//.test(path));
  const top = files.filter(({ path }) => /^[^/]+\.safetensors$/.test(path));
  const single = top.filter(({ path }) => path === SINGLE);
  const shards = top.filter(({ path }) => /-\d+-of-\d+\.safetensors$/.test(path));
  return { configs, weights: single.length > 0 ? single : shards.length > 0 ? shards : top };
}

/** Returns the folder of a hub's repositories, without a trailing slash. */
export function hubFolder(cacheFolder: string, hubsApart: boolean, endpoint: string): string {
  const folder = cacheFolder.replace(/(?<=.)[\\/]+$/, "");
  return hubsApart && endpoint !== PUBLIC_HUB ? `${folder}/${encodeURIComponent(endpoint)}` : folder;
}

/** Paths of a repository's files in the cache folder, in the layout of huggingface_hub. */
export class CachePaths {
  readonly root: string;

  constructor(
    readonly cacheFolder: string,
    readonly name: string,
  ) {
    this.root = `${cacheFolder}/${this.folderName}`;
  }

  get folderName(): string {
    return `models--${this.name.replaceAll("/", "--")}`;
  }

  /** File with the last known commit of a branch or tag. */
  ref(revision: string): string {
    return `${this.root}/refs/${revision}`;
  }

  /** The listing of a commit. */
  tree(commit: string): string {
    return `${this.root}/trees/${commit}.json`;
  }

  snapshot(commit: string, path?: string): string {
    return `${this.root}/snapshots/${commit}${path === undefined ? "" : `/${path}`}`;
  }

  blob(hash: string): string {
    return `${this.root}/blobs/${hash}`;
  }

  incomplete(hash: string): string {
    return `${this.root}/blobs/${hash}.incomplete`;
  }

  /** Distinct from Python's `.lock`, which relies on `flock` and may exist without being locked. */
  lock(hash: string): string {
    return `${this.cacheFolder}/.locks/${this.folderName}/${hash}.taken`;
  }
}
