import { expect, test } from "vitest";
import { platform } from "#platform";
import { SourceError } from "../../src/base/errors.js";
import { readFixture, readFixtureJson } from "../support/fixture.js";

const WORDS = 1024;
const STORAGE_COPY_SRC = 0x80 | 0x04;
const MAP_READ_COPY_DST = 0x01 | 0x08;
const MAP_MODE_READ = 1;

const TRIANGULAR = /* wgsl */ `
@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  y[id.x] = id.x * (id.x + 1u) / 2u;
}`;

test("an adapter opens and says why it was taken", async () => {
  const { adapter, reasons } = await platform.requestAdapter({});
  expect(adapter.limits.maxStorageBufferBindingSize).toBeGreaterThanOrEqual(2 ** 27);
  expect(reasons.length).toBeGreaterThan(0);
  for (const reason of reasons) expect(reason).toMatch(/^[A-Z].*\.$/);
  console.log(`${platform.name}: ${reasons.join(" ")}`);
});

test("a compute shader runs and its values read back", async () => {
  const { adapter } = await platform.requestAdapter({ prefer: "software" });
  const device = await adapter.requestDevice();
  const y = device.createBuffer({ size: WORDS * 4, usage: STORAGE_COPY_SRC });
  const staging = device.createBuffer({ size: WORDS * 4, usage: MAP_READ_COPY_DST });
  const module = device.createShaderModule({ code: TRIANGULAR });
  const pipeline = await platform.waitFor(
    device.createComputePipelineAsync({ layout: "auto", compute: { module } }),
    device.queue,
    true,
  );
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer: y } }],
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(WORDS / 64);
  pass.end();
  encoder.copyBufferToBuffer(y, 0, staging, 0, WORDS * 4);
  device.queue.submit([encoder.finish()]);
  await platform.waitFor(staging.mapAsync(MAP_MODE_READ), device.queue, true);
  const got = [...new Uint32Array(staging.getMappedRange())];
  expect(got).toEqual(Array.from({ length: WORDS }, (_, i) => (i * (i + 1)) / 2));
  device.destroy();
});

test("waitFor passes results and failures through", async () => {
  const { adapter } = await platform.requestAdapter({ prefer: "software" });
  const device = await adapter.requestDevice();
  const late = new Promise<number>((resolve) => setTimeout(() => resolve(7), 20));
  await expect(platform.waitFor(late, device.queue, true)).resolves.toBe(7);
  await expect(platform.waitFor(Promise.reject(new Error("no")), device.queue, true)).rejects.toThrow("no");
  device.destroy();
});

test("a local path that cannot be read is a SourceError with a remedy", async () => {
  const missing = platform.openFile("no/such/file");
  await expect(missing).rejects.toBeInstanceOf(SourceError);
  await expect(missing).rejects.toThrow(/no\/such\/file: expected .+, got .+ — .+/);
  await expect(platform.listFolder("no/such/folder")).rejects.toBeInstanceOf(SourceError);
});

test("fixtures read as bytes and as JSON", async () => {
  const index = await readFixtureJson<{ models: Record<string, string[]> }>("goldens/index.json");
  expect(Object.keys(index.models)).toContain("hf-05b-like");
  const png = await readFixture("goldens/images/tiny-50x37.png");
  expect([...png.subarray(0, 4)]).toEqual([0x89, 0x50, 0x4e, 0x47]);
  await expect(readFixture("no-such-fixture")).rejects.toThrow("no-such-fixture");
});
