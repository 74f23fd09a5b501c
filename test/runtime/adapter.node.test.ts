import { afterEach, expect, test, vi } from "vitest";
import { create } from "webgpu";
import { adapterName, isSoftware } from "../../src/platform/platform.js";
import { openAdapter } from "../../src/runtime/adapter.js";

// A GPU that computes wrongly: Dawn's null backend, which has all features and computes nothing.

const mocked = vi.hoisted(() => ({
  requestAdapter: vi.fn(),
  languageFeatures: () => new Set(["packed_4x8_integer_dot_product"]),
}));
vi.mock("#platform", () => ({ platform: mocked }));

/** Kept for ever: a collected instance takes its devices and the process down with it. */
const dawn = create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]);

const opened: GPUDevice[] = [];
afterEach(() => {
  for (const gpu of opened.splice(0)) gpu.destroy();
});

const MATRICES = "chromium-experimental-subgroup-matrix";

/** The null adapter with matrices; `request` stands in for its own. */
async function useAdapter(request?: (own: GPUAdapter, descriptor: GPUDeviceDescriptor) => Promise<GPUDevice>) {
  mocked.requestAdapter.mockImplementation(async () => {
    const own = (await dawn.requestAdapter())!;
    const configs = [{ componentType: "f16", resultComponentType: "f32", M: 16, N: 16, K: 16 }];
    const adapter = {
      features: own.features,
      limits: own.limits,
      info: {
        vendor: "wrong",
        architecture: "",
        device: "",
        description: "",
        subgroupMinSize: 32,
        subgroupMaxSize: 32,
        subgroupMatrixConfigs: configs,
      },
      async requestDevice(descriptor: GPUDeviceDescriptor) {
        const gpu = await (request?.(own, descriptor) ?? own.requestDevice(descriptor));
        opened.push(gpu);
        return gpu;
      },
    };
    return { adapter, reasons: ["It was there."] };
  });
}

test("features that compute wrongly are left out, and the reasons said", async () => {
  await useAdapter();
  const { gpu, facts } = await openAdapter({});
  expect(gpu.features.has(MATRICES as GPUFeatureName)).toBe(true);
  expect(facts).toMatchObject({ onCPU: false, f16: false, packedDots: true, subgroupMaxSize: 32 });
  expect(facts.subgroupMatrix).toBeUndefined();
  expect(facts.reasons[0]).toBe("It was there.");
  expect(facts.reasons[1]).toMatch(/^f16 is not used: element \[0, 0\] of a product came out as/);
});

test("a device that is lost in a self-test is replaced by one without the features", async () => {
  await useAdapter(async (own, descriptor) => {
    const gpu = await own.requestDevice(descriptor);
    if (opened.length === 0) gpu.destroy();
    return gpu;
  });
  const { gpu, facts } = await openAdapter({ maxBindingBytes: 4096 });
  expect(opened.length).toBe(2);
  expect(gpu).toBe(opened[1]);
  expect(gpu.features.has("shader-f16")).toBe(false);
  expect(gpu.features.has(MATRICES as GPUFeatureName)).toBe(false);
  expect(facts).toMatchObject({ f16: false, maxBindingBytes: 4096 });
  expect(facts.reasons.join(" ")).toMatch(/f16 is not used: .*(lost|destroyed)/);
});

test("an experimental feature that is listed and refused is done without", async () => {
  await useAdapter((own, descriptor) =>
    [...(descriptor.requiredFeatures ?? [])].includes(MATRICES as GPUFeatureName)
      ? Promise.reject(new Error("not allowed"))
      : own.requestDevice(descriptor),
  );
  const { gpu } = await openAdapter({});
  expect(gpu.features.has(MATRICES as GPUFeatureName)).toBe(false);
  expect(gpu.features.has("subgroups")).toBe(true);
});

test("without features none is requested and none is self-tested", async () => {
  await useAdapter();
  const { gpu, facts } = await openAdapter({ features: "none" });
  for (const name of [MATRICES, "shader-f16", "subgroups"])
    expect(gpu.features.has(name as GPUFeatureName)).toBe(false);
  expect(facts).toMatchObject({ f16: false, immediateBytes: 0, reasons: ["It was there."] });
});

test("f16 and matrices can be switched off, which is said", async () => {
  await useAdapter();
  const { gpu, facts } = await openAdapter({ f16: false });
  for (const name of [MATRICES, "shader-f16"]) expect(gpu.features.has(name as GPUFeatureName)).toBe(false);
  expect(gpu.features.has("subgroups")).toBe(true);
  expect(facts.f16).toBe(false);
  // The matrices of this adapter have factors in f16.
  expect(facts.subgroupMatrix).toBeUndefined();
  expect(facts.reasons).toEqual(["It was there.", "f16 is not used: it was switched off."]);
  const second = await openAdapter({ matrices: false });
  expect(second.gpu.features.has(MATRICES as GPUFeatureName)).toBe(false);
  expect(second.gpu.features.has("shader-f16")).toBe(true);
  expect(second.facts.reasons[1]).toBe("Subgroup matrices are not used: they were switched off.");
});

test.each([
  ["llvmpipe: Mesa 25", false, true],
  ["Microsoft Basic Render Driver", false, true],
  ["NVIDIA H200", false, false],
  ["anything", true, true],
])("%s, fallback %s: on the CPU %s", (description, isFallbackAdapter, software) => {
  const info = { vendor: "", architecture: "", device: "", description, isFallbackAdapter } as GPUAdapterInfo;
  expect(isSoftware(info)).toBe(software);
});

test("an adapter has a name, also where the browser tells nothing", () => {
  const info = { vendor: "google", architecture: "swiftshader", device: "", description: "SwiftShader driver 5.0.0" };
  expect(adapterName(info as GPUAdapterInfo)).toBe("google swiftshader (SwiftShader driver 5.0.0)");
  const nothing = { vendor: "", architecture: "", device: "", description: "" };
  expect(adapterName(nothing as GPUAdapterInfo)).toBe("an unnamed adapter");
});
