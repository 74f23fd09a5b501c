/** Where this module runs: a file in Node, a page of the test server in the browser. Named, or Vite rewrites `new URL` below. */
const HERE = import.meta.url;

/** Reads a file of `test/data` in Node and in the browser; `path` is relative to that folder. Throws when it is missing. */
export async function readFixture(path: string): Promise<Uint8Array> {
  const url = new URL(`../data/${path}`, HERE);
  if (url.protocol === "file:") {
    const fs = "node:fs/promises"; // a variable keeps it out of the browser's bundle
    const { readFile } = (await import(/* @vite-ignore */ fs)) as typeof import("node:fs/promises");
    // A copy: a small Buffer is a window into memory that Node shares out.
    return new Uint8Array(await readFile(url));
  }
  const response = await fetch(url);
  // For a missing file the server may answer with a page of its own.
  if (!response.ok || response.headers.get("content-type")?.startsWith("text/html")) {
    throw new Error(`test/data/${path}: expected a file, got HTTP ${response.status}`);
  }
  return new Uint8Array(await response.arrayBuffer());
}

/** Reads a JSON file of `test/data`; the caller vouches for the type. */
export async function readFixtureJson<T>(path: string): Promise<T> {
  return JSON.parse(new TextDecoder().decode(await readFixture(path))) as T;
}

/** Reads a file anywhere in the repository, in Node and in the browser; `path` is relative to its root. */
export function readRepositoryFile(path: string): Promise<Uint8Array> {
  return readFixture(`../../${path}`);
}
