/** A cache of downloaded files: the cache folder of the Hugging Face tools, or the browser's storage. */
export interface FileCache {
  /** Whether this context can download; if not, it only reads complete files. */
  readonly canDownload: boolean;

  /** Remedy for a full disk. */
  readonly moreRoom: string;

  /** Reads cache folder and hub settings, from the environment variables and the token file of huggingface_hub. */
  hubSettings(): Promise<HubSettings>;

  /** Returns the size of a file, following links; undefined if it does not exist. */
  sizeOf(path: string): Promise<number | undefined>;

  /** UTF-8 text; undefined if there is no such file. */
  readText(path: string): Promise<string | undefined>;

  /** Writes a text file atomically. Creates missing folders. */
  writeText(path: string, text: string): Promise<void>;

  /** Replaces a file atomically. */
  rename(from: string, to: string): Promise<void>;

  /** Removes a file, if there is one. */
  remove(path: string): Promise<void>;

  /**
   * Links `path` to the file `target`: a relative symbolic link, else a hard link, else a copy, depending on the system.
   * Replaces `path` atomically.
   */
  link(target: string, path: string): Promise<void>;

  /** Returns the free bytes of the disk of a file; undefined if unknown. */
  freeBytes(path: string): Promise<number | undefined>;

  /** Opens a file to resume writing it. Creates missing folders. */
  openPartial(path: string): Promise<PartialFile>;

  /**
   * Acquires an exclusive lock across tasks and processes; locks of dead processes are taken over. Returns a function that releases it.
   * `onWait` is called while waiting, with the holder's process id where that is known; it may throw. Throws AbortedError.
   */
  lock(path: string, signal?: AbortSignal, onWait?: (pid?: number) => void): Promise<() => Promise<void>>;

  /** Lists the subfolders of a folder; empty if it does not exist. */
  folders(path: string): Promise<string[]>;

  /** Removes a folder recursively, if it exists. */
  removeFolder(path: string): Promise<void>;

  /** Creates an incremental hash. */
  hasher(algorithm: "sha1" | "sha256"): Hasher;
}

export interface HubSettings {
  /** The folder with `models--org--name`. */
  cacheFolder: string;
  /** URL of the hub, if not the public one. */
  endpoint?: string;
  token?: string;
  offline: boolean;
  /** Whether other hubs have separate folders; the Hugging Face tools use one for all. */
  hubsApart?: boolean;
}

/** A partially written file. All methods throw SourceError, or NoRoomError. */
export interface PartialFile {
  /** Size when it was opened. */
  readonly sizeBytes: number;
  read(offsetBytes: number, lengthBytes: number): Promise<Uint8Array>;
  write(bytes: Uint8Array, offsetBytes: number): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  /** Flushes to disk and returns the file's size. */
  flush(): Promise<number>;
  close(): Promise<void>;
}

export interface Hasher {
  update(bytes: Uint8Array): void;
  /** Lower-case hexadecimal. */
  digest(): string;
}
