/** A checkpoint: a location with named files. Folders, base URLs and file lists have a common interface. */

import { platform } from "#platform";
import { CheckpointError, throwIfAborted } from "../../base/errors.js";
import type { DownloadSize, Place } from "../bytes/place.js";
import { type ByteSource, blobSource, fileSource, NotFoundError, urlSource } from "../bytes/source.js";
import { type HubId, parseHubId } from "../hub/hub-names.js";
import type { CheckpointOptions } from "../hub/hub-options.js";
import { type JsonValue, parseJson } from "../text/json.js";
import { decodeText } from "../text/text.js";
import { HEAD_BYTES, kindOf } from "./file-kind.js";
import { openTensors, type TensorIndex } from "./tensor-index.js";

export type { DownloadSize } from "../bytes/place.js";
export { type CheckpointOptions, HUB_OPTIONS, type HubOptions } from "../hub/hub-options.js";
export type { DownloadProgress } from "../hub/hub-progress.js";
export type { IndexedTensor, PackedIndex, TensorIndex } from "./tensor-index.js";

/** A File, or a Blob with a name; files of a folder chosen in a page also have `webkitRelativePath`. */
export type NamedBlob = Blob & { readonly name: string; readonly webkitRelativePath?: string };

/** Folder path, hub id (`org/name`, `org/name@revision`), http(s) or file URL, or the files themselves (`FileList`, array). */
export type CheckpointLocation = string | URL | ArrayLike<NamedBlob>;

/** Named files of one checkpoint. Names are relative, with "/" between folder and file. */
export interface CheckpointFiles {
  /** Path or URL, for messages. */
  readonly name: string;
  /** Whether there is such a file. */
  has(file: string): Promise<boolean>;
  /** Returns the file as UTF-8 text, without a byte order mark; undefined if absent. Throws CheckpointError for other encodings. */
  text(file: string): Promise<string | undefined>;
  /** Returns the parsed JSON file; undefined if absent. Throws CheckpointError with line and column for invalid JSON. */
  json(file: string): Promise<JsonValue | undefined>;
  /** Returns the error for a missing file, with what was found instead. */
  missing(file: string): Promise<CheckpointError>;
  /**
   * Opens the weights and checks all their headers; the index must be closed. `file` is the name of a single file that is not
   * model.safetensors.
   */
  tensors(file?: string): Promise<TensorIndex>;
  /** Returns the download size of the weights and existing `configs`; for a repository, of everything that is downloaded. */
  downloadSize(configs: readonly string[], weights: TensorIndex): Promise<DownloadSize>;
}

/**
 * Opens a checkpoint; reads files only as far as needed to identify the location. An existing folder takes precedence over a
 * repository of the same name. The config files of a hub id are downloaded here, its weights when they are opened.
 * @throws CheckpointError if there is no such folder, repository or revision, or no files; SourceError; OptionError.
 */
export async function openCheckpoint(
  location: CheckpointLocation,
  options: CheckpointOptions = {},
): Promise<CheckpointFiles> {
  throwIfAborted(options.signal, "opening a checkpoint");
  return new Checkpoint(await placeOf(location, options), options.signal);
}

/** Dispatches on the kind of location. */
async function placeOf(location: CheckpointLocation, options: CheckpointOptions): Promise<Place> {
  const text = typeof location === "string" || location instanceof URL ? String(location) : undefined;
  if (text === undefined ? !areFiles(location) : text.trim() === "") {
    throw (await import("./not-a-location.js")).notALocation(location);
  }
  const id = text === undefined ? undefined : await hubIdOf(text, options.endpoint);
  if (id) {
    const { hubPlace } = await import("../hub/hub.js");
    try {
      return await hubPlace(id, options);
    } catch (cause) {
      const isPath = platform.name !== "browser" && parseHubId(text!.trim()) !== undefined;
      throw isPath ? (await import("./not-a-location.js")).neitherFolderNorRepository(text!, cause) : cause;
    }
  }
  if (options.revision !== undefined) {
    throw (await import("./not-a-location.js")).revisionWithoutHub(text, options.revision);
  }
  if (text === undefined) return blobPlace(location as ArrayLike<NamedBlob>);
  if (/^https?:\/\//i.test(text)) return urlPlace(text, options);
  if (/^file:\/\//i.test(text)) return folderPlace(pathOfFileUrl(text));
  return folderPlace(text);
}

function areFiles(location: unknown): location is ArrayLike<NamedBlob> {
  if (typeof location !== "object" || location === null || !("length" in location)) return false;
  return Array.from(location as ArrayLike<unknown>).every((file) => file instanceof Blob && "name" in file);
}

/** Parses a hub id; undefined if a folder of this name exists. */
async function hubIdOf(text: string, endpoint: string | undefined): Promise<HubId | undefined> {
  const pasted = text.trim();
  const id = parseHubId(pasted);
  if (id) return (await isLocal(text)) ? undefined : id;
  const isAddress = /^(https?|hf):/i.test(pasted);
  if (!isAddress && (!/^(datasets|spaces)\//.test(pasted) || (await isLocal(text)))) return undefined;
  const { parseHubAddress } = await import("../hub/hub-address.js");
  return parseHubAddress(pasted, isAddress ? endpoint : undefined);
}

async function isLocal(path: string): Promise<boolean> {
  const folder = await platform.listFolder(path).catch(() => undefined);
  return folder !== undefined || (await (await platform.cache())?.sizeOf(path)) !== undefined;
}

/** Maximum size of text files; the largest tokenizers have 35 MB. */
const TEXT_LIMIT_BYTES = 256e6;

function textKind(file: string): string {
  return file.endsWith(".json") ? "a JSON file" : "a text file";
}

class Checkpoint implements CheckpointFiles {
  readonly name: string;

  constructor(
    private readonly place: Place,
    private readonly signal: AbortSignal | undefined,
  ) {
    this.name = place.name;
  }

  async has(file: string): Promise<boolean> {
    throwIfAborted(this.signal, this.name);
    return this.place.has(file);
  }

  async missing(file: string): Promise<CheckpointError> {
    const { missing } = await import("./foreign-checkpoint.js");
    return missing(this.place, file);
  }

  async text(file: string): Promise<string | undefined> {
    throwIfAborted(this.signal, this.name);
    const source = await this.place.open(file);
    if (!source) return undefined;
    try {
      const head = await source.read(0, Math.min(HEAD_BYTES, source.sizeBytes), this.signal);
      const kind = kindOf(head);
      if (kind)
        throw new CheckpointError({ where: source.name, expected: textKind(file), got: kind.is, remedy: kind.remedy });
      if (source.sizeBytes > TEXT_LIMIT_BYTES) {
        throw new CheckpointError({
          where: source.name,
          expected: `${textKind(file)} of at most ${TEXT_LIMIT_BYTES / 1e6} MB`,
          got: `${Math.round(source.sizeBytes / 1e6)} MB`,
          remedy: "check that the file is what its name says",
        });
      }
      const bytes = await source.read(0, source.sizeBytes, this.signal);
      return decodeText(bytes, source.name, { Fault: CheckpointError });
    } finally {
      await source.close();
    }
  }

  async json(file: string): Promise<JsonValue | undefined> {
    const text = await this.text(file);
    return text === undefined ? undefined : parseJson(text, `${this.name}: ${file}`);
  }

  async tensors(file?: string): Promise<TensorIndex> {
    throwIfAborted(this.signal, this.name);
    if (file !== undefined) return openTensors(this.place, undefined, this.signal, file);
    const index = await this.json("model.safetensors.index.json");
    return openTensors(this.place, index, this.signal);
  }

  async downloadSize(configs: readonly string[], weights: TensorIndex): Promise<DownloadSize> {
    const listed = await this.place.downloadSize?.();
    if (listed) return listed;
    const sources = new Set([...weights.entries.values()].map(({ source }) => source));
    let totalBytes = [...sources].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    for (const file of configs) {
      throwIfAborted(this.signal, this.name);
      const source = await this.place.open(file);
      totalBytes += source?.sizeBytes ?? 0;
      await source?.close();
    }
    return { totalBytes, missingBytes: this.place.remote ? totalBytes : 0 };
  }
}

async function folderPlace(path: string): Promise<Place> {
  const root = path.replace(/[\\/]+$/, "") || "/";
  let top: string[];
  try {
    top = await platform.listFolder(root);
  } catch (cause) {
    throw await (await import("./not-a-location.js")).noFolder(path, cause);
  }
  const join = (file: string) => (root.endsWith("/") ? root + file : `${root}/${file}`);
  const has = async (file: string): Promise<boolean> => {
    const slash = file.lastIndexOf("/");
    if (slash < 0) return top.includes(file);
    const names = await platform.listFolder(join(file.slice(0, slash))).catch((): string[] => []);
    return names.includes(file.slice(slash + 1));
  };
  return {
    name: path,
    list: async (folder) => (folder === undefined ? top : platform.listFolder(join(folder)).catch((): string[] => [])),
    has,
    open: async (file) => ((await has(file)) ? fileSource(join(file)) : undefined),
  };
}

/** Converts a file URL to a path: file:///C:/models to C:/models, file:///models to /models. */
function pathOfFileUrl(url: string): string {
  const path = decodeURIComponent(new URL(url).pathname);
  return path.replace(/^\/(?=[A-Za-z]:\/)/, "");
}

/**
 * Files of a URL that are not requested if the other file is there: a browser's console reports every absent file as an error. For the
 * weights this is the order of transformers; where both chat templates exist, they are the same in two formats.
 */
const NEEDLESS: Readonly<Record<string, string>> = {
  "model.safetensors.index.json": "model.safetensors",
  "chat_template.jinja": "chat_template.json",
};

function urlPlace(location: string, options: CheckpointOptions): Place {
  const base = new URL(location);
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  // Sources opened by has(), reused by open(): saves one request per file.
  const found = new Map<string, ByteSource>();
  const present = new Set<string>();
  let answeredPage = false;
  const open = async (file: string): Promise<ByteSource | undefined> => {
    const kept = found.get(file);
    found.delete(file);
    if (kept) return kept;
    const instead = NEEDLESS[file];
    if (instead !== undefined && (present.has(instead) || (await has(instead)))) return undefined;
    const url = new URL(base);
    url.pathname += file.split("/").map(encodeURIComponent).join("/");
    try {
      const source = await urlSource(url, options);
      present.add(file);
      return source;
    } catch (cause) {
      if (!(cause instanceof NotFoundError)) throw cause;
      answeredPage ||= cause.isPage;
      return undefined;
    }
  };
  const has = async (file: string): Promise<boolean> => {
    if (found.has(file)) return true;
    const source = await open(file);
    if (source) found.set(file, source);
    return source !== undefined;
  };
  return {
    name: location,
    remote: true,
    get answeredPage() {
      return answeredPage;
    },
    self: async () => {
      // The URL of a folder ends in a slash or has no file extension.
      if (!/\.\w{2,11}$/.test(new URL(location).pathname)) return undefined;
      const source = await urlSource(location, options).catch(() => undefined);
      return source?.read(0, Math.min(HEAD_BYTES, source.sizeBytes)).finally(() => source.close());
    },
    list: async () => undefined,
    has,
    open,
  };
}

function blobPlace(blobs: ArrayLike<NamedBlob>): Place {
  const files = new Map<string, Blob>();
  for (const blob of Array.from(blobs)) {
    // The relative path begins with the name of the chosen folder.
    const name = blob.webkitRelativePath ? blob.webkitRelativePath.split("/").slice(1).join("/") : blob.name;
    if (files.has(name)) {
      const remedy = "give the files of one checkpoint";
      throw new CheckpointError({ where: "list of files", expected: "every name once", got: `${name} twice`, remedy });
    }
    files.set(name, blob);
  }
  return {
    name: "list of files",
    list: async (folder) => {
      if (folder === undefined) return [...files.keys()];
      const prefix = `${folder}/`;
      return [...files.keys()].filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
    },
    has: async (file) => files.has(file),
    open: async (file) => {
      const blob = files.get(file);
      return blob && blobSource(blob, file);
    },
  };
}
