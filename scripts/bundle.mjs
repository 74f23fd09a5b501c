// Bundles dist for pages without a bundler: dist/ocellus.browser.js (what `ocellus` exports, and WorkerModel), dist/ocellus.worker.js (a module
// worker that serves a model), and the chunks that both load on demand. Part of `npm pack`.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const root = fileURLToPath(new URL("../", import.meta.url));
const dist = join(root, "dist");

const ENTRIES = {
  "ocellus.browser": 'export * from "/dist/index.js";\nexport { WorkerModel } from "/dist/worker/index.js";\n',
  "ocellus.worker": 'import { serve } from "/dist/worker/index.js";\nserve(self);\n',
};

rmSync(join(dist, "browser-chunks"), { recursive: true, force: true });
await build({
  configFile: false,
  root,
  logLevel: "error",
  plugins: [
    {
      name: "entries",
      resolveId: (id) => (id in ENTRIES ? `\0${id}` : undefined),
      load: (id) => ENTRIES[id.slice(1)],
    },
  ],
  build: {
    outDir: dist,
    emptyOutDir: false,
    copyPublicDir: false,
    target: "es2022",
    modulePreload: false,
    rolldownOptions: {
      input: Object.fromEntries(Object.keys(ENTRIES).map((name) => [name, name])),
      preserveEntrySignatures: "strict",
      output: { entryFileNames: "[name].js", chunkFileNames: "browser-chunks/[name]-[hash].js" },
    },
  },
});
