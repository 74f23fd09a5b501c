import { rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bundleElsewhere, REPORT_MS } from "../support/bundle-elsewhere.js";
import { missingForDeno, runInDeno } from "../support/deno.js";
import type { Report } from "../support/elsewhere.js";
import { expectSound } from "../support/sound-report.js";

// Deno's own WebGPU (wgpu) on lavapipe: the embedded checkpoint and golden cases.

const missing = missingForDeno();
if (missing) console.log(`Deno is not tested: ${missing}`);

test.skipIf(missing)(
  "golden cases are the reference's in Deno, on its own WebGPU",
  async () => {
    const folder = await bundleElsewhere("node");
    try {
      const report = JSON.parse(await runInDeno(join(folder, "program.js"))) as Report;
      expectSound(report);
      expect(report.reasons.join(" ")).toContain("to Deno's WebGPU.");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  REPORT_MS + 60_000,
);
