import { platform } from "#platform";
import { firstLineOf } from "../base/cause-message.js";
import { OcellusError } from "../base/errors.js";
import { installCommand, OPTIONAL_PACKAGES, type OptionalPackage } from "../base/optional-packages.js";
import { argmax } from "../kernels/argmax.js";
import { TUNABLES } from "../kernels/tunables.js";
import { adapterName } from "../platform/platform.js";
import { Device } from "../runtime/device.js";
import type { Command } from "./command.js";

/** Prints a report. */
export const doctor: Command = {
  name: "doctor",
  usage: "",
  about: `Reports which adapter is used and why, its limits and features, the adapters that
\`--devices\` can choose by number, which optional packages are installed, and what to
do if something is missing. Exit status 1 if Ocellus cannot run.`,
  options: {},
  examples: ["ocellus doctor", "OCELLUS_ADAPTER=swiftshader ocellus doctor"],
  run: report,
};

async function report(): Promise<void> {
  const out = process.stdout;
  out.write(`node      ${process.version} on ${process.platform} ${process.arch}\n`);
  out.write(await packages());
  let device: Device;
  try {
    device = await Device.open();
  } catch (error) {
    if (!(error instanceof OcellusError)) throw error;
    out.write(`adapter   none\n\n${error.message}\n`);
    process.exitCode = 1;
    return;
  }
  try {
    const { facts, gpu } = device;
    out.write(`adapter   ${facts.name}\n`);
    for (const reason of facts.reasons) out.write(`          ${reason}\n`);
    const mega = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
    out.write(`limits    binding ${mega(facts.maxBindingBytes)}, buffer ${mega(facts.maxBufferBytes)}, `);
    out.write(`workgroup ${gpu.limits.maxComputeInvocationsPerWorkgroup} invocations with `);
    out.write(`${gpu.limits.maxComputeWorkgroupStorageSize / 1024} KiB\n`);
    const subgroups = facts.subgroupMaxSize ? `of ${facts.subgroupMinSize} to ${facts.subgroupMaxSize}` : "no";
    out.write(`features  subgroups ${subgroups}, f16 ${yes(facts.f16)}, `);
    const matrix = facts.subgroupMatrix;
    const matrices = matrix ? `${matrix.m}×${matrix.n}×${matrix.k} of ${matrix.input}` : "no";
    out.write(`subgroup matrices ${matrices}, timestamps ${yes(facts.timestamps)}\n`);
    const values = Object.entries(facts.tuning).map(([name, value]) => `${name} = ${value}`);
    out.write(`tuning    ${values.join(", ") || "defaults"}; parameters: `);
    out.write(`${TUNABLES.map(({ name }) => name).join(", ")}\n`);
    out.write(await adapters());
    const best = device.scope(() => argmax(device.upload(Float32Array.of(1, 3, 2), [3], "x"), 3));
    const [place] = await best.read("u32");
    out.write(
      `check     ${place === 1 ? "a kernel ran and its result is correct" : `a kernel gave ${place}, wanted 1`}\n`,
    );
    if (place !== 1) process.exitCode = 1;
    if (facts.onCPU)
      out.write(
        "\nThis adapter runs on the CPU: results are correct, but slow. A GPU with a Vulkan, Metal or Direct3D driver is used if available.\n",
      );
  } finally {
    device.dispose();
  }
}

/** A line for each adapter, with the number that `--devices` takes. WebGPU does not say how much memory they have. */
async function adapters(): Promise<string> {
  const listed = (await platform.listAdapters?.()) ?? [];
  const lines = listed.map(({ info, limits }, i) => {
    const buffer = Math.round(limits.maxBufferSize / 2 ** 20);
    return `${i === 0 ? "adapters" : "        "}  ${i} ${adapterName(info)}: buffers of up to ${buffer} MiB\n`;
  });
  return lines.join("");
}

function yes(value: boolean): string {
  return value ? "yes" : "no";
}

/** Packages with native code: they may be installed without a build for this system. */
const NATIVE: readonly OptionalPackage[] = ["webgpu", "sharp", "@napi-rs/webcodecs"];

/** A line for each optional package, and the command that installs those that are missing. */
async function packages(): Promise<string> {
  const lines: string[] = [];
  const missing: OptionalPackage[] = [];
  for (const [name, { brings }] of Object.entries(OPTIONAL_PACKAGES) as [OptionalPackage, { brings: string }][]) {
    const found = platform.findPackage?.(name);
    const fault = found && NATIVE.includes(name) ? await importFault(name) : undefined;
    if (!found) missing.push(name);
    const state = fault ?? (found ? "" : "not installed");
    lines.push(`package   ${found ? `${name} ${found.version}` : name}: ${state && `${state} — `}${brings}\n`);
  }
  if (missing.length > 0) lines.push(`          all that are not installed: \`${installCommand(...missing)}\`\n`);
  return lines.join("");
}

/** Why an installed package can't be loaded; undefined if it can. */
async function importFault(name: string): Promise<string | undefined> {
  try {
    await import(name);
    return undefined;
  } catch (error) {
    return `cannot be loaded (${firstLineOf(error)})`;
  }
}
