import { randomUUID } from "node:crypto";
import { mkdir, open, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { throwIfAborted } from "../base/errors.js";

/** Heartbeat interval of a holder; */
const BEAT_MILLISECONDS = 5_000;
/** without a heartbeat for this long it is considered dead, on any machine. */
const STALE_MILLISECONDS = 60_000;
/** Polling interval of a held lock. */
const LOOK_MILLISECONDS = 100;

interface Holder {
  pid: number;
  host: string;
  id: string;
}

/**
 * Acquires the lock file at `path` and returns a function that releases it. Node has no `flock`, so the file's existence is the lock,
 * and its content the holder; dead holders are detected by their process id or by the age of the file. While another holds it, `onWait` is
 * called with its process id; it may throw.
 */
export async function lock(
  path: string,
  signal?: AbortSignal,
  onWait?: (pid: number | undefined) => void,
): Promise<() => Promise<void>> {
  const holder: Holder = { pid: process.pid, host: hostname(), id: randomUUID() };
  await mkdir(dirname(path), { recursive: true });
  while (!(await create(path, JSON.stringify(holder)))) {
    const found = await readFile(path, "utf8").catch(() => undefined);
    if (found !== undefined && (await isDead(path, found))) {
      await takeAway(path, found);
      continue;
    }
    onWait?.(parse(found ?? "")?.pid);
    await sleep(LOOK_MILLISECONDS, undefined, signal ? { signal } : {}).catch(() => undefined);
    throwIfAborted(signal, path);
  }
  const beat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => undefined);
  }, BEAT_MILLISECONDS);
  beat.unref();
  return async () => {
    clearInterval(beat);
    // Where it cannot be read it is still this holder's, who sent heartbeats.
    const found = await readFile(path, "utf8").catch(() => holder.id);
    if (found.includes(holder.id)) await rm(path, { force: true });
  };
}

/** Creates the file; false if it exists. */
async function create(path: string, text: string): Promise<boolean> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path, "wx");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw cause;
  }
  try {
    await file.writeFile(text);
  } catch (cause) {
    // Without a holder it would be held until it is old.
    await rm(path, { force: true });
    throw cause;
  } finally {
    await file.close();
  }
  return true;
}

async function isDead(path: string, text: string): Promise<boolean> {
  const age = await stat(path).then(
    ({ mtimeMs }) => Date.now() - mtimeMs,
    () => 0,
  );
  if (age > STALE_MILLISECONDS) return true;
  const holder = parse(text);
  if (holder?.host !== hostname()) return false;
  try {
    process.kill(holder.pid, 0);
    return false;
  } catch (cause) {
    // EPERM: alive, and owned by another user.
    return (cause as NodeJS.ErrnoException).code === "ESRCH";
  }
}

/** Reads the holder; undefined for a file that was created but not yet written. */
function parse(text: string): Holder | undefined {
  try {
    return JSON.parse(text) as Holder;
  } catch {
    return undefined;
  }
}

/** Removes a dead holder's file. If another process has taken the lock meanwhile, its file is restored. */
async function takeAway(path: string, expected: string): Promise<void> {
  const aside = `${path}.${randomUUID().slice(0, 8)}`;
  try {
    await rename(path, aside);
  } catch {
    return;
  }
  const found = await readFile(aside, "utf8").catch(() => expected);
  if (found === expected) await rm(aside, { force: true });
  else await rename(aside, path);
}
