import { describe, expect, test } from "vitest";
import { KernelError } from "../../src/base/errors.js";
import { Kernel, numberedLines } from "../../src/runtime/kernel.js";

const BODY = `
struct Params {
  rows: u32,     // not a field: width: f32
  shift: i32,
  scale: f32
}
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(LANES) fn main() { y[0] = x[0] * params.scale; }`;

describe("Kernel", () => {
  const kernel = new Kernel("scaled", BODY, { LANES: 64 });

  test("reads bindings and parameters from the text", () => {
    expect(kernel.bindings).toEqual([
      { name: "x", index: 0, writable: false },
      { name: "y", index: 2, writable: true },
    ]);
    expect(kernel.parameters).toEqual([
      { name: "rows", type: "u32" },
      { name: "shift", type: "i32" },
      { name: "scale", type: "f32" },
    ]);
  });

  test("puts constants before the body and the parameters after it", () => {
    expect(kernel.text.startsWith("const LANES = 64u;\n")).toBe(true);
    expect(kernel.text).toContain(BODY);
    expect(kernel.text.trimEnd().endsWith("@group(1) @binding(0) var<uniform> params: Params;")).toBe(true);
  });

  test("without a Params struct declares no parameters", () => {
    const plain = new Kernel("plain", "@group(0) @binding(0) var<storage, read_write> y: array<f32>;", {});
    expect(plain.parameters).toEqual([]);
    expect(plain.text).not.toContain("params");
  });

  test("makes a variant once, with extensions first and its constants in place of the old ones", () => {
    const variant = kernel.variant({ LANES: 32 }, "alias E = f16;", "enable f16;");
    expect(variant.text.startsWith("enable f16;\nconst LANES = 32u;\nalias E = f16;\n")).toBe(true);
    expect(kernel.variant({ LANES: 32 }, "alias E = f16;", "enable f16;")).toBe(variant);
    expect(kernel.variant({ LANES: 16 })).not.toBe(variant);
    expect(kernel.constants.LANES).toBe(64);
    expect(variant.constants.LANES).toBe(32);
  });

  test("adds up header lines over variants of variants", () => {
    const twice = kernel.variant({}, "alias A = f32;").variant({}, "alias B = f32;");
    expect(twice.text).toContain("alias A = f32;\nalias B = f32;\n");
  });

  test("refuses a text without storage bindings", () => {
    expect(() => new Kernel("empty", "fn main() {}", {})).toThrow(KernelError);
    expect(() => new Kernel("empty", "fn main() {}", {})).toThrow(/kernel empty: expected at least one/);
  });
});

test("numberedLines numbers from 1, as compilers do", () => {
  expect(numberedLines("a\nb")).toBe("   1 a\n   2 b");
});
