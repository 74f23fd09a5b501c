import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { bundledMedia } from "./build/bundled-media.js";
import { offline } from "./build/offline.js";
import { HEADERS, strictPolicy } from "./build/policy.js";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** The built page works on any host and in any folder: no URL in it begins with a slash. */
export default defineConfig({
  root: here("."),
  base: "./",
  plugins: [strictPolicy(), bundledMedia(), offline()],
  worker: { format: "es" },
  build: {
    target: "es2022",
    rolldownOptions: {
      input: [here("index.html"), here("bench.html")],
      output: { chunkFileNames: "assets/[name]-[hash].js" },
    },
    // Every asset is a separate file, which the policy can check by its origin.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  preview: { headers: HEADERS },
});
