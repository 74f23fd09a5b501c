import type { HeldLock } from "./platform.js";

/**
 * A name that this page or worker holds until `release`, or until its own end: a Web Lock, since nothing else tells a page of a
 * worker that was terminated, or a shared worker of a page that was closed. Undefined where a browser refuses locks.
 */
export async function holdLifeline(): Promise<HeldLock | undefined> {
  const locks: LockManager | undefined = globalThis.navigator?.locks;
  if (!locks) return undefined;
  const name = `ocellus ${crypto.randomUUID()}`;
  return new Promise((resolve) => {
    const held = () =>
      new Promise<void>((release) => {
        resolve({ name, release });
      });
    locks.request(name, held).catch(() => resolve(undefined));
  });
}

/** Resolves when the one who holds the name has released it or ended. */
export async function endOfLifeline(name: string): Promise<void> {
  await globalThis.navigator.locks.request(name, () => {});
}
