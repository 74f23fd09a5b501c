import type { HeldLock } from "./platform.js";

/**
 * Holds a Web Lock with a new name until `release`, or until this page or worker is closed: the only way to detect that a worker was
 * terminated, or that the page of a shared worker was closed. Undefined if locks are not available.
 */
export async function holdLifeline(): Promise<HeldLock | undefined> {
  const locks: LockManager | undefined = globalThis.navigator?.locks;
  if (!locks) return undefined;
  const name = `ocellus ${crypto.randomUUID()}`;
  return new Promise((resolve) => {
    const onLock = () =>
      new Promise<void>((release) => {
        resolve({ name, release });
      });
    locks.request(name, onLock).catch(() => resolve(undefined));
  });
}

/** Resolves when the holder has released the lock or was closed. */
export async function endOfLifeline(name: string): Promise<void> {
  await globalThis.navigator.locks.request(name, () => {});
}
