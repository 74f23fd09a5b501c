import { existsSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { playwright } from "@vitest/browser-playwright";
import { defineConfig, type TestProjectInlineConfiguration } from "vitest/config";
import { chromiumLaunch } from "./test/support/chromium.js";

// One suite, several adapters. `node` and `chromium` compute on SwiftShader, which gives the same results on every machine; `lavapipe` runs
// the Node files that are about an adapter once more on Mesa's software driver, where it is installed or OCELLUS_LAVAPIPE names its driver
// file (scripts/ci/with-lavapipe.sh). `npx vitest run --project node` runs one.

/** Software adapters are slow, and on a busy machine a test may wait minutes for their compiler. */
const TIMEOUT_MS = 300_000;

/** Measured on two cores: two files at once took 18 s, one by one 30 s, since most files wait for the GPU only now and then. */
const MAX_WORKERS = Math.min(2, availableParallelism());

/** Tests that are not about what an adapter computes need not run on a second one. */
const WITHOUT_GPU = [
  "test/architecture.node.test.ts",
  "test/cli/**",
  "test/demo/**",
  "test/io/**",
  "test/kernels/compile.node.test.ts",
  "test/lockfile.node.test.ts",
  "test/openai/**",
  "test/platform/**",
  "test/runtime/adapter.node.test.ts",
  "test/server/**",
  "test/structure/**",
  "test/types/**",
  "test/worker/**",
];
/** Nor what needs an adapter with little memory: lavapipe has all of the machine's. */
const SMALL_MEMORY = ["test/runtime/out-of-memory.node.test.ts"];
/** What the guides show takes many processes, each of which compiles all shaders anew; and the plain kernels are slow. */
const SLOW = ["test/docs/**", "test/models/goldens-plain.node.test.ts"];

const platformFile = (name: "node" | "browser"): string =>
  fileURLToPath(new URL(`./src/platform/${name}.ts`, import.meta.url));

/** The driver file of Mesa's lavapipe. */
function lavapipeDriver(): string | undefined {
  if (process.env.OCELLUS_LAVAPIPE) return process.env.OCELLUS_LAVAPIPE;
  const folder = "/usr/share/vulkan/icd.d";
  const name = existsSync(folder) ? readdirSync(folder).find((file) => /^lvp_icd.*\.json$/.test(file)) : undefined;
  return name && `${folder}/${name}`;
}

function nodeProject(
  name: string,
  order: number,
  env: Record<string, string>,
  exclude: string[] = [],
): TestProjectInlineConfiguration {
  return {
    resolve: { alias: { "#platform": platformFile("node") } },
    test: {
      name,
      env,
      environment: "node",
      // Not threads: a native addon's instance must outlive the files, and a crash should name its file.
      pool: "forks",
      include: ["test/**/*.test.ts"],
      exclude: ["test/**/*.browser.test.ts", ...exclude],
      testTimeout: TIMEOUT_MS,
      hookTimeout: TIMEOUT_MS,
      maxWorkers: MAX_WORKERS,
      sequence: { groupOrder: order },
    },
  };
}

async function chromiumProject(order: number): Promise<TestProjectInlineConfiguration> {
  const { executablePath, args, env } = await chromiumLaunch();
  return {
    resolve: { alias: { "#platform": platformFile("browser") } },
    // Named here because a dependency found in the middle of a run reloads the page under the tests.
    optimizeDeps: {
      include: [
        "@huggingface/jinja",
        "@huggingface/tokenizers",
        "@noble/hashes/legacy.js",
        "@noble/hashes/sha2.js",
        "@noble/hashes/utils.js",
        "mediabunny",
        "mp4box",
      ],
    },
    test: {
      name: "browser",
      include: ["test/**/*.test.ts"],
      exclude: ["test/**/*.node.test.ts"],
      testTimeout: TIMEOUT_MS,
      hookTimeout: TIMEOUT_MS,
      maxWorkers: MAX_WORKERS,
      sequence: { groupOrder: order },
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        provider: playwright({ launchOptions: { ...(executablePath && { executablePath }), args, env } }),
        instances: [{ browser: "chromium", name: "chromium" }],
      },
    },
  };
}

export default defineConfig(async () => {
  const lavapipe = lavapipeDriver();
  const projects = [nodeProject("node", 1, { OCELLUS_ADAPTER: "swiftshader" }), await chromiumProject(3)];
  if (lavapipe) {
    const env = { OCELLUS_ADAPTER: "system", VK_ICD_FILENAMES: lavapipe };
    projects.push(nodeProject("lavapipe", 2, env, [...WITHOUT_GPU, ...SMALL_MEMORY, ...SLOW]));
  }
  const second = lavapipe ? "lavapipe" : "no lavapipe: Mesa's software driver is not installed";
  console.log(`projects: node (SwiftShader), chromium (SwiftShader), ${second}`);
  return { test: { projects } };
});
