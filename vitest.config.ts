import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { playwright } from "@vitest/browser-playwright";
import { defineConfig, type TestProjectInlineConfiguration } from "vitest/config";
import { chromiumLaunch } from "./test/support/chromium.js";
import { FolderTimes } from "./test/support/folder-times.js";
import { lavapipeDriver } from "./test/support/lavapipe.js";
import { LongFirst } from "./test/support/long-first.js";

// One suite, several adapters. `node` and `chromium` compute on SwiftShader, which gives the same results on every machine; `lavapipe` runs
// the Node files that are about an adapter once more on Mesa's software driver, where it is installed or OCELLUS_LAVAPIPE names its driver
// file (scripts/ci/with-lavapipe.sh). `npx vitest run --project node` runs one; `node-own-process` is Node as well.

/** Software adapters are slow, and on a busy machine a test may wait minutes for their compiler. */
const TIMEOUT_MS = 300_000;
/** And a page some seconds until it shows what it was asked for. */
const POLL_TIMEOUT_MS = 60_000;

/** Files run in an order that this seed shuffles: OCELLUS_TEST_SEED=2 gives another order. */
const SEED = Number(process.env.OCELLUS_TEST_SEED ?? 1);

/** Measured on two cores: two files at once took 18 s, one by one 30 s, since most files wait for the GPU only now and then. */
const MAX_WORKERS = Math.min(2, availableParallelism());

/** What differs on another adapter: the files for lavapipe, which compiles slowly. Of GPUs' kernels, goldens-gpu takes most there, attention too. */
const ABOUT_ADAPTERS = [
  "test/kernels/{argmax,attention-{broadcast,pieces,step},choose-token,copy-rows,cutoff*,epilogue,gather,norm}.test.ts",
  "test/kernels/{few-rows,matmul,matmul-block,matmul-broadcast,matmul-broadcast4,matvec,matvec-b*,matvec-quantized}.test.ts",
  "test/kernels/{pack,packed,pad-rows,patchify,product-pieces,rank-logits,resample,rope,sampling-cutoff,swiglu}.test.ts",
  "test/layers/kv-cache.test.ts",
  "test/models/{goldens,goldens-gpu,tiny,chat/decoding,chat/session}.test.ts",
  "test/runtime/{bind-groups,device,feature-self-test.node,profile}.test.ts",
];

/** Files that change what a whole process shares, or end processes: each has its own. The others share processes, and in them a device. */
const OWN_PROCESS = [
  "test/{cli,demo,docs,platform}/*.test.ts",
  "test/runtime/adapter.node.test.ts",
  "test/runtime/out-of-memory.node.test.ts",
  "test/worker/*.node.test.ts",
];

/**
 * What computes the same in Chromium, on the same SwiftShader and in the same V8: there a checkpoint's goldens, the page with its
 * examples, clips, workers, pictures and the matrix product answer for it.
 */
const ONCE = [
  "test/{bench,layers,structure}/*.test.ts",
  "test/kernels/{!(matmul),*-*}.test.ts",
  "test/models/{conversion-source,convert,goldens-gpu,packed-chunks,packed-files,streaming,tiny,tiny-clips,training}.test.ts",
  "test/models/{chat,llava-onevision}/*.test.ts",
  "test/openai/*.test.ts",
  "test/worker/worker-session.test.ts",
];

const platformFile = (name: "node" | "browser"): string =>
  fileURLToPath(new URL(`./src/platform/${name}.ts`, import.meta.url));

/** What tests in any runtime may ask for with `inject`: browsers have no environment variables. */
const PROVIDED = { trainingPictures: process.env.OCELLUS_TRAINING_PICTURES === "1" };

declare module "vitest" {
  interface ProvidedContext {
    /** Whether the golden cases of training with pictures are tested, which take minutes on a software adapter. */
    trainingPictures: boolean;
  }
}

interface NodeProject {
  name: string;
  order: number;
  env: Record<string, string>;
  include?: string[];
  exclude?: string[];
  isolate: boolean;
}

function nodeProject({
  name,
  order,
  env,
  include = ["test/**/*.test.ts"],
  exclude = [],
  isolate,
}: NodeProject): TestProjectInlineConfiguration {
  return {
    resolve: { alias: { "#platform": platformFile("node") } },
    test: {
      name,
      env,
      environment: "node",
      // Not threads: a native addon's instance must outlive the files, and a crash should name its file.
      pool: "forks",
      isolate,
      include,
      exclude: ["test/**/*.browser.test.ts", ...exclude],
      provide: PROVIDED,
      testTimeout: TIMEOUT_MS,
      hookTimeout: TIMEOUT_MS,
      expect: { poll: { timeout: POLL_TIMEOUT_MS } },
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
        "hyparquet",
        "hyparquet-writer",
        "mediabunny",
        "mp4box",
        "yaml",
      ],
    },
    test: {
      name: "browser",
      isolate: false,
      include: ["test/**/*.test.ts"],
      exclude: ["test/**/*.node.test.ts", ...ONCE],
      provide: PROVIDED,
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
  const swiftshader = { OCELLUS_ADAPTER: "swiftshader" };
  const projects = [
    nodeProject({ name: "node-own-process", order: 1, env: swiftshader, include: OWN_PROCESS, isolate: true }),
    nodeProject({ name: "node", order: 2, env: swiftshader, exclude: OWN_PROCESS, isolate: false }),
    // Beside Node's: its GPU process takes one core.
    await chromiumProject(2),
  ];
  if (lavapipe) {
    const env = { OCELLUS_ADAPTER: "system", VK_ICD_FILENAMES: lavapipe };
    projects.push(nodeProject({ name: "lavapipe", order: 3, env, include: ABOUT_ADAPTERS, isolate: false }));
  }
  const second = lavapipe ? "lavapipe" : "no lavapipe: Mesa's software driver is not installed";
  console.log(`projects: node (SwiftShader), chromium (SwiftShader), ${second}; seed of the order: ${SEED}`);
  return {
    test: { projects, reporters: ["default", new FolderTimes()], sequence: { sequencer: LongFirst, seed: SEED } },
  };
});
