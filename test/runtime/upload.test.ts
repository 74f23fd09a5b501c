import { expect, test } from "vitest";
import { plainBytes, uploadedType } from "../../src/runtime/upload.js";
import { byteForms } from "../support/byte-forms.js";

test("arrays are known by their kind, others are refused", () => {
  expect(uploadedType(new Float32Array(1), "x")).toBe("f32");
  expect(uploadedType(new Uint32Array(1), "x")).toBe("u32");
  for (const bytes of [new Uint8Array(1), new Uint8ClampedArray(1)]) expect(uploadedType(bytes, "x")).toBe("u8");
  for (const other of [new Int32Array(1), new Float64Array(1), new DataView(new ArrayBuffer(1)), [1], undefined])
    expect(() => uploadedType(other, "x")).toThrow("upload of x: expected a Float32Array");
});

test("bytes are those in view, and in memory that WebGPU takes", () => {
  const values = Uint8Array.of(1, 2, 3, 4, 5);
  for (const { name, bytes } of byteForms(values)) {
    if (!ArrayBuffer.isView(bytes)) continue;
    const plain = plainBytes(bytes);
    expect(Array.from(plain), name).toEqual(Array.from(values));
    expect(Object.prototype.toString.call(plain.buffer), name).toBe("[object ArrayBuffer]");
    expect((plain.buffer as { resizable?: boolean }).resizable ?? false, name).toBe(false);
  }
});
