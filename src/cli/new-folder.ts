import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { OcellusError, OptionError, SourceError } from "../base/errors.js";

/** Files that show that a folder has a checkpoint, or an adapter. */
const CONTENTS = ["config.json", "adapter_config.json"];

/** Creates a folder atomically: it is written under another name and renamed when complete. */
export class NewFolder {
  private constructor(
    readonly path: string,
    /** The folder that is written and renamed. */
    readonly partial: string,
  ) {}

  /**
   * Starts a folder. `replace` allows to replace an empty folder or a checkpoint, which stays until the new one is complete. `resume`
   * keeps what another process has left of the partial folder.
   * @throws OptionError if the folder exists and may not be replaced; SourceError if it cannot be written.
   */
  static async beside(path: string, replace: boolean, resume = false): Promise<NewFolder> {
    await restore(path);
    const names = await namesIn(path);
    const fault = { where: path, remedy: "give another name" };
    if (names && !replace) {
      throw new OptionError({
        ...fault,
        expected: "a folder that does not exist yet",
        got: names === "file" ? "a file" : "a folder",
        remedy: `${fault.remedy}, or --force to replace it`,
      });
    }
    // Replacing deletes the folder recursively, so only a checkpoint or an empty folder is accepted.
    if (names === "file" || (names && names.length > 0 && !CONTENTS.some((name) => names.includes(name)))) {
      const got = names === "file" ? "a file" : `a folder with ${names.slice(0, 3).join(", ")}`;
      throw new OptionError({ ...fault, expected: "a checkpoint or an adapter to replace, or an empty folder", got });
    }
    const folder = new NewFolder(path, `${path}.partial`);
    if (resume) await guarded(folder.partial, () => mkdir(folder.partial, { recursive: true }));
    else await folder.empty();
    return folder;
  }

  /** Removes what is in the partial folder. */
  async empty(): Promise<void> {
    await guarded(this.partial, async () => {
      await rm(this.partial, { recursive: true, force: true });
      await mkdir(this.partial, { recursive: true });
    });
  }

  /** Writes a file of the folder; `onProgress` receives the bytes so far. Returns its size. */
  async write(name: string, chunks: AsyncIterable<Uint8Array>, onProgress: (bytes: number) => void): Promise<number> {
    const path = join(this.partial, name);
    const file = await guarded(path, () => open(path, "wx"));
    let written = 0;
    try {
      for await (const chunk of chunks) {
        await guarded(path, () => file.writeFile(chunk));
        written += chunk.length;
        onProgress(written);
      }
      await guarded(path, () => file.sync());
    } finally {
      await file.close();
    }
    return written;
  }

  /** Renames the complete folder to its final name. */
  async finish(): Promise<void> {
    const { path, partial } = this;
    const old = replacedName(path);
    await guarded(path, async () => {
      await rm(old, { recursive: true, force: true });
      const replaced = await rename(path, old).then(
        () => true,
        () => false, // nothing was there
      );
      try {
        await rename(partial, path);
      } catch (cause) {
        if (replaced) await rename(old, path);
        throw cause;
      }
      await rm(old, { recursive: true, force: true });
    });
  }

  /** Removes the partial folder. */
  async abandon(): Promise<void> {
    await rm(this.partial, { recursive: true, force: true });
  }
}

/** The name of a folder while another takes its place. */
function replacedName(path: string): string {
  return `${path}.replaced`;
}

/** Puts back a folder whose replacement ended between the two renames, with its process. */
async function restore(path: string): Promise<void> {
  if ((await namesIn(path)) !== undefined || (await namesIn(replacedName(path))) === undefined) return;
  await guarded(path, () => rename(replacedName(path), path));
}

/** Returns the names in a folder; "file" for a file, undefined if nothing exists there. */
async function namesIn(path: string): Promise<string[] | "file" | undefined> {
  try {
    return await readdir(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    if (code === "ENOTDIR") return "file";
    throw writeError(path, cause);
  }
}

/** Runs work on a file or folder; its errors are SourceErrors that say what to do about the disk. */
export async function guarded<T>(path: string, work: () => Promise<T>): Promise<T> {
  return work().catch((cause: unknown) => {
    throw cause instanceof OcellusError ? cause : writeError(path, cause);
  });
}

const CODES: Readonly<Record<string, { got: string; remedy: string }>> = {
  EACCES: { got: "no permission", remedy: "choose a folder of your own" },
  EPERM: { got: "no permission", remedy: "choose a folder of your own" },
  EROFS: { got: "a disk that is read-only", remedy: "choose a folder on another disk" },
  ENOSPC: { got: "a full disk", remedy: "make room or choose a folder on another disk" },
  EDQUOT: { got: "a full quota", remedy: "make room or choose a folder on another disk" },
  ENOTDIR: { got: "a file where a folder should be", remedy: "check the path" },
  ENAMETOOLONG: { got: "a name that is too long", remedy: "give a shorter one" },
};

function writeError(path: string, cause: unknown): SourceError {
  const { code = "" } = cause as NodeJS.ErrnoException;
  const known = CODES[code] ?? { got: String(cause), remedy: "check the disk and the path" };
  return new SourceError({ where: path, expected: "to write there", ...known, cause });
}
