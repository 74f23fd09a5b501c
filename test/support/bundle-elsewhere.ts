import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "vite";
import { OPTIONAL_PACKAGES } from "../../src/base/optional-packages.js";
import { ROOT } from "./cli.js";
import type { Wanted } from "./elsewhere.js";

const isWhole = process.env.OCELLUS_ALL_GOLDENS === "1";

/** A case of each kind; OCELLUS_ALL_GOLDENS=1 takes all. */
const WANTED: Wanted = isWhole
  ? "all"
  : {
      "hf-05b-like": ["image-423x47", "two-images", "image-and-video", "two-turns"],
      "lmms-7b-like": ["image-423x47"],
      "hf5-f16": ["two-turns"],
    };

/** Within which the program ends, on two busy cores. */
export const REPORT_MS = isWhole ? 7_200_000 : 240_000;

/** Where fixtures are read from. */
const FIXTURES = "test/support/fixture.ts";

/** Bundles `elsewhere-program.ts` for Deno or for a page of a server of the checkout. Returns the folder with `program.js`. */
export async function bundleElsewhere(platform: "node" | "browser"): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "ocellus-elsewhere-"));
  const isPage = platform === "browser";
  const fixtures = isPage
    ? `new URL("/${FIXTURES}", location.href).href`
    : JSON.stringify(pathToFileURL(join(ROOT, FIXTURES)).href);
  await build({
    configFile: false,
    root: ROOT,
    logLevel: "error",
    define: { WANTED: JSON.stringify(WANTED) },
    resolve: { alias: { "#platform": join(ROOT, `src/platform/${platform}.ts`) } },
    plugins: [
      {
        name: "fixtures",
        enforce: "pre",
        transform: (code, id) => (id.endsWith(FIXTURES) ? code.replace("import.meta.url", fixtures) : undefined),
      },
    ],
    ssr: { noExternal: true, external: Object.keys(OPTIONAL_PACKAGES) },
    build: {
      outDir: folder,
      emptyOutDir: true,
      copyPublicDir: false,
      minify: false,
      target: "es2022",
      ssr: !isPage,
      modulePreload: false,
      rolldownOptions: {
        input: { program: join(ROOT, "test/support/elsewhere-program.ts") },
        output: { entryFileNames: "[name].js" },
      },
    },
  });
  return folder;
}
