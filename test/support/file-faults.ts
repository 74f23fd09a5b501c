import { createRequire, syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

type Operation = (...given: unknown[]) => Promise<unknown>;

const promises = createRequire(import.meta.url)("node:fs/promises") as Record<string, Operation>;

/** Functions that name a path first, and methods of the handles that `open` returns. */
const FUNCTIONS = [
  "open",
  "readFile",
  "writeFile",
  "rename",
  "mkdir",
  "stat",
  "readdir",
  "symlink",
  "link",
  "statfs",
  "copyFile",
];
const METHODS = ["read", "write", "writeFile", "appendFile", "truncate", "sync", "datasync", "stat"];
/** Operations that write, and fail as on a full disk. */
const WRITES = ["write", "writeFile", "appendFile", "mkdir", "symlink", "truncate", "copyFile", "link"];

/** Fails one operation on files within a folder, as a disk does that is full or broken. Operations are counted from the last `failAt`. */
export class FileFaults {
  readonly #restore: (() => void)[] = [];
  #at: number | undefined;
  #count = 0;
  /** The operation that failed. */
  injected: string | undefined;

  private constructor(readonly folder: string) {}

  static async within(folder: string): Promise<FileFaults> {
    const faults = new FileFaults(folder);
    const handle = (await promises.open!(join(tmpdir()), "r")) as { close(): Promise<void> };
    const prototype = Object.getPrototypeOf(handle) as Record<string, Operation>;
    await handle.close();
    const handles = new WeakSet<object>();
    faults.#replace(promises, FUNCTIONS, async (name, self, original, given) => {
      const path = String(given[0]);
      if (!path.startsWith(folder)) return original.apply(self, given);
      faults.#check(name);
      const result = await original.apply(self, given);
      if (name === "open") handles.add(result as object);
      return result;
    });
    faults.#replace(prototype, METHODS, async (name, self, original, given) => {
      if (handles.has(self as object)) faults.#check(`handle.${name}`);
      return original.apply(self, given);
    });
    syncBuiltinESMExports();
    return faults;
  }

  /** Fails the operation of this number, from 0, once. */
  failAt(at: number | undefined): void {
    this.#at = at;
    this.#count = 0;
    this.injected = undefined;
  }

  get count(): number {
    return this.#count;
  }

  restore(): void {
    for (const put of this.#restore) put();
    syncBuiltinESMExports();
  }

  #check(name: string): void {
    if (this.#count++ !== this.#at) return;
    this.injected = name;
    const syscall = name.replace("handle.", "");
    const code = WRITES.includes(syscall) ? "ENOSPC" : "EIO";
    throw Object.assign(new Error(`${code}: an operation that was made to fail, ${syscall}`), {
      code,
      syscall,
      errno: -5,
    });
  }

  #replace(
    holder: Record<string, Operation>,
    names: readonly string[],
    wrap: (name: string, self: unknown, original: Operation, given: unknown[]) => Promise<unknown>,
  ): void {
    for (const name of names) {
      const original = holder[name];
      if (!original) continue;
      holder[name] = function (this: unknown, ...given: unknown[]) {
        return wrap(name, this, original, given);
      };
      this.#restore.push(() => {
        holder[name] = original;
      });
    }
  }
}
