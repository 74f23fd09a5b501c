import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Returns a checkpoint's folder as a hub of plain files: the responses of the Hub API that loading needs, by their paths. Any static
 * file host can serve them: the query of a listing is ignored, and a host without byte ranges only costs bytes.
 * Source: https://huggingface.co/docs/hub/api
 */
export function staticHub(folder: string, repository: string): Map<string, string | Uint8Array> {
  const files = readdirSync(folder, { withFileTypes: true })
    .filter(
      (entry) => entry.isFile() && /\.(json|jinja|safetensors)$/.test(entry.name) && entry.name !== "package.json",
    )
    .map(({ name }) => ({ name, bytes: readFileSync(join(folder, name)) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const listing = files.map(({ name, bytes }) => ({
    type: "file",
    path: name,
    size: bytes.length,
    oid: hash("sha1", Buffer.from(`blob ${bytes.length}\0`), bytes),
    ...(name.endsWith(".safetensors") && { lfs: { oid: hash("sha256", bytes), size: bytes.length } }),
  }));
  const commit = hash("sha1", Buffer.from(JSON.stringify(listing)));
  return new Map<string, string | Uint8Array>([
    [`api/models/${repository}/revision/main`, JSON.stringify({ id: repository, sha: commit })],
    [`api/models/${repository}/tree/${commit}`, JSON.stringify(listing)],
    ...files.map(({ name, bytes }) => [`${repository}/resolve/${commit}/${name}`, bytes] as const),
  ]);
}

function hash(algorithm: "sha1" | "sha256", ...parts: readonly Uint8Array[]): string {
  const digest = createHash(algorithm);
  for (const part of parts) digest.update(part);
  return digest.digest("hex");
}
