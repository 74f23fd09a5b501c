import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";
import { transformWithOxc } from "vite";
import { POLICY } from "./policy.js";

const SOURCE = fileURLToPath(new URL("../service-worker.ts", import.meta.url));

/** Copied as they are. */
const PUBLIC = fileURLToPath(new URL("../public", import.meta.url));

/** Weights are cached by the library, and the page never requests the files for hosts. */
const NOT_CACHED = /^(hub\/|_headers$|service-worker\.js$|.*\.map$)/;

/** Writes the service worker, with the list of all files of the build and one version for them together. */
export function offline(): Plugin {
  return {
    name: "offline",
    apply: "build",
    generateBundle: {
      order: "post",
      async handler(_options, bundle) {
        const cached = Object.values(bundle).filter(({ fileName }) => !NOT_CACHED.test(fileName));
        const hash = createHash("sha256");
        for (const file of cached.sort((a, b) => (a.fileName < b.fileName ? -1 : 1))) {
          hash.update(file.fileName).update(file.type === "chunk" ? file.code : file.source);
        }
        const icons = readdirSync(PUBLIC);
        for (const name of icons) hash.update(name).update(readFileSync(join(PUBLIC, name)));
        const build = {
          version: hash.digest("hex").slice(0, 12),
          files: [...cached.map(({ fileName }) => fileName), ...icons],
          policy: POLICY,
        };
        const { code } = await transformWithOxc(readFileSync(SOURCE, "utf8"), SOURCE);
        const source = `const BUILD = ${JSON.stringify(build)};\n${code.replace(/^export \{\s*\};?$/m, "")}`;
        this.emitFile({ type: "asset", fileName: "service-worker.js", source });
      },
    },
  };
}
