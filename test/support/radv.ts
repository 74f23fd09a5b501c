import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import type { Kernel } from "../../src/runtime/kernel.js";
import { ROOT } from "./cli.js";
import { lavapipeDriver } from "./lavapipe.js";
import type { KernelText } from "./naga-program.js";

/** What AMD's compiler makes of a kernel; the last two are its own estimates, in cycles. */
export interface ShaderStatistics {
  readonly registers: number;
  readonly spilled: number;
  readonly scratchBytes: number;
  /** Subgroups that a SIMD unit can hold at once. */
  readonly occupancy: number;
  /** Of one subgroup, from its first to its last instruction. */
  readonly latency: number;
  /** Between the ends of two subgroups on a busy SIMD unit. */
  readonly inverseThroughput: number;
}

const NAMES: Readonly<Record<keyof ShaderStatistics, string>> = {
  registers: "VGPRs",
  spilled: "Spilled VGPRs",
  scratchBytes: "Scratch size",
  occupancy: "Subgroups per SIMD",
  latency: "Latency",
  inverseThroughput: "Inverse Throughput",
};

/** The GPUs that are compiled for: RDNA 2 and RDNA 3. */
export const AMD_FAMILIES = ["navi21", "navi31"] as const;
export type AMDFamily = (typeof AMD_FAMILIES)[number];

/** The driver file of RADV, which is in the package and folder of lavapipe's; undefined if it is not installed. */
function radvDriver(): string | undefined {
  const lavapipe = lavapipeDriver();
  const folder = lavapipe && dirname(lavapipe);
  const name = folder && existsSync(folder) && readdirSync(folder).find((file) => /^radeon_icd.*\.json$/.test(file));
  return name ? join(folder, name) : undefined;
}

/** The first Mesa whose null device opens. */
const OLDEST_MESA = 25;

/** What is missing for AMD's compiler, as a sentence; undefined if nothing is. */
export async function missingForRadv(): Promise<string | undefined> {
  if (process.platform !== "linux") return "it is tested on Linux only";
  if (spawnSync("cc", ["--version"], { stdio: "ignore" }).status !== 0) return "no C compiler is installed (cc)";
  if (!radvDriver()) return "Mesa's RADV is not installed (mesa-vulkan-drivers, or scripts/ci/with-lavapipe.sh)";
  const { mesa, output } = await run([], AMD_FAMILIES[0]);
  if (!mesa) return `RADV does not open: ${output.trim().split("\n").at(-1)}`;
  return Number.parseInt(mesa, 10) < OLDEST_MESA ? `Mesa ${mesa} is older than ${OLDEST_MESA}` : undefined;
}

/** A kernel as text, for another process. */
export function textOf({ name, text, bindings, parameters }: Kernel): KernelText {
  return { name, text, bindings, parameters: parameters.length > 0 };
}

/**
 * Compiles kernels with Mesa's RADV for a GPU of `family`, which need not be there. Returns Mesa's version (`"25.0"`) and each kernel's
 * statistics, or the message of the error. Throws if the driver does not work.
 */
export async function compileForAMD(
  kernels: readonly KernelText[],
  family: AMDFamily,
): Promise<{ mesa: string; results: (ShaderStatistics | string)[] }> {
  const { mesa, output } = await run(kernels, family);
  const parts = output.split(/^@kernel \d+$/m).slice(1);
  if (!mesa || parts.length !== kernels.length) throw new Error(`RADV for ${family}: ${output.slice(-1000)}`);
  return { mesa, results: parts.map(statisticsIn) };
}

/** Runs radv-program.mjs; `output` is what it and the driver print, `mesa` the version if the driver opens. */
async function run(
  kernels: readonly KernelText[],
  family: AMDFamily,
): Promise<{ mesa: string | undefined; output: string }> {
  const folder = mkdtempSync(join(tmpdir(), "ocellus-radv-"));
  try {
    const loader = join(folder, "libvulkan.so.1");
    const source = join(ROOT, "test/support/radv-loader.c");
    await promisify(execFile)("cc", ["-shared", "-fPIC", "-Wl,-soname,libvulkan.so.1", "-o", loader, source, "-ldl"]);
    const file = join(folder, "kernels.json");
    writeFileSync(file, JSON.stringify(kernels));
    const { library_path } = JSON.parse(readFileSync(radvDriver()!, "utf8")).ICD as { library_path: string };
    const { LD_LIBRARY_PATH } = process.env;
    // A file, since what the driver prints to a pipe that is full is lost.
    const log = join(folder, "log");
    const program = join(ROOT, "test/support/radv-program.mjs");
    await promisify(execFile)("sh", ["-c", 'exec "$0" "$1" "$2" 2>"$3"', process.execPath, program, file, log], {
      env: {
        ...process.env,
        LD_LIBRARY_PATH: LD_LIBRARY_PATH ? `${folder}:${LD_LIBRARY_PATH}` : folder,
        // Of a package that was unpacked, it is in LD_LIBRARY_PATH.
        OCELLUS_RADV_LIBRARY: existsSync(library_path) ? library_path : basename(library_path),
        RADV_FORCE_FAMILY: family,
        RADV_DEBUG: "shaderstats,nocache",
      },
    }).catch(() => {}); // the log has the reason
    const output = readFileSync(log, "utf8");
    return { mesa: /^@driver .*\bMesa (\d+\.\d+)/m.exec(output)?.[1], output };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The statistics that RADV printed for one kernel, or the error. */
export function statisticsIn(output: string): ShaderStatistics | string {
  const refused = /^@refused ([\s\S]*)/m.exec(output)?.[1];
  if (refused !== undefined) return refused.trim();
  const numbers = new Map([...output.matchAll(/^([\w ]+): (\d+)$/gm)].map((match) => [match[1]!, Number(match[2])]));
  const entries = Object.entries(NAMES).map(([key, name]) => [key, numbers.get(name)] as const);
  const missing = entries.filter(([, value]) => value === undefined).map(([key]) => key);
  if (missing.length > 0) return `no ${missing.join(", ")} among the driver's statistics`;
  return Object.fromEntries(entries) as unknown as ShaderStatistics;
}
