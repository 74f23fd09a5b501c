import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { bundledMedia } from "./build/bundled-media.js";
import { offline } from "./build/offline.js";
import { HEADERS, strictPolicy } from "./build/policy.js";
import { sharedWorkers } from "./build/shared-workers.js";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** The built page works on any host and in any folder: no URL in it begins with a slash. */
export default defineConfig({
  root: here("."),
  base: "./",
  plugins: [sharedWorkers(), strictPolicy(), bundledMedia(), offline()],
  build: {
    target: "es2022",
    rolldownOptions: {
      input: [here("index.html"), here("bench.html")],
      // Scripts that run something have no code that others import: these would run it as well.
      preserveEntrySignatures: "strict",
      output: { chunkFileNames: "assets/[name]-[hash].js" },
    },
    // Every asset is a separate file, which the policy can check by its origin.
    assetsInlineLimit: 0,
    // Chunks that workers share with the page have no document to write preload links into.
    modulePreload: {
      polyfill: false,
      resolveDependencies: (_, files, { hostType }) => (hostType === "html" ? files : []),
    },
  },
  preview: { headers: HEADERS },
});
