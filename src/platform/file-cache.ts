/** What a program needs to keep downloaded files: in the folder that the Hugging Face tools share, or in the browser's storage. */
export interface FileCache {
  /** Whether files can be downloaded from here; if not, those that are whole are read. */
  readonly canDownload: boolean;

  /** What helps when there is no room, to follow a full stop. */
  readonly moreRoom: string;

  /** Where files are kept and how the hub is reached, from the variables and the file that the Python library reads too. */
  hubSettings(): Promise<HubSettings>;

  /** Bytes of a file, links followed; undefined if there is none. */
  sizeOf(path: string): Promise<number | undefined>;

  /** UTF-8 text; undefined if there is no such file. */
  readText(path: string): Promise<string | undefined>;

  /** Writes a text file in one step: others see the old or the new one. Makes the folders it needs. */
  writeText(path: string, text: string): Promise<void>;

  /** Puts a file in another's place, in one step. */
  rename(from: string, to: string): Promise<void>;

  /** Removes a file, if there is one. */
  remove(path: string): Promise<void>;

  /**
   * Makes `path` mean the file `target`: a relative symbolic link; where the system refuses those a hard link, else a copy.
   * What was at `path` is replaced in one step.
   */
  link(target: string, path: string): Promise<void>;

  /** Bytes free on the disk of a file to be written; undefined where the system does not say. */
  freeBytes(path: string): Promise<number | undefined>;

  /** Opens a file to go on writing it, with what an earlier run left there. Makes the folders it needs. */
  openPartial(path: string): Promise<PartialFile>;

  /**
   * Takes a lock, held by one task of one process at a time; a lock whose process has died is taken over. Returns what releases it.
   * `onWait` is called while another holds it. Throws AbortedError.
   */
  lock(path: string, signal?: AbortSignal, onWait?: () => void): Promise<() => Promise<void>>;

  /** Names of the folders in a folder; none if there is no such folder. */
  folders(path: string): Promise<string[]>;

  /** Removes a folder with everything in it, if there is one. */
  removeFolder(path: string): Promise<void>;

  /** A hash over bytes that come piece by piece. */
  hasher(algorithm: "sha1" | "sha256"): Hasher;
}

export interface HubSettings {
  /** The folder with `models--org--name`. */
  cacheFolder: string;
  /** Address of the hub, if it is not the public one. */
  endpoint?: string;
  token?: string;
  offline: boolean;
  /** Whether repositories of other hubs have a folder of their own; the Hugging Face tools have one for all. */
  hubsApart?: boolean;
}

/** A file that is being written. All methods throw SourceError, or NoRoomError. */
export interface PartialFile {
  /** Bytes there when it was opened. */
  readonly sizeBytes: number;
  read(offsetBytes: number, lengthBytes: number): Promise<Uint8Array>;
  write(bytes: Uint8Array, offsetBytes: number): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  /** Waits until the bytes are on the disk, and gives the file's size. */
  flush(): Promise<number>;
  close(): Promise<void>;
}

export interface Hasher {
  update(bytes: Uint8Array): void;
  /** Lower-case hexadecimal. */
  digest(): string;
}
