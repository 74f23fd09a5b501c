import { ShapeError } from "../base/errors.js";
import type { Tensor } from "../runtime/tensor.js";

/**
 * The storage format of keys and values in a KV cache: contiguous rows of quads, `[capacity, stride]`. A quad is a `vec4` of f32, two
 * words of 16-bit pairs (so `shader-f16` is not required), or a word of signed bytes; in q8 the scales of all rows follow the bytes,
 * one f16 per 8 quads.
 */
export type CacheType = "f32" | "f16" | "q8";

/** Rows are padded to a multiple of this many elements, so that the scales of two rows never share a word. */
const ROW_STEP: Record<CacheType, number> = { f32: 4, f16: 4, q8: 64 };

/** Returns the padded width of a cache row of `width` elements. */
export function paddedRow(width: number, type: CacheType): number {
  return Math.ceil(width / ROW_STEP[type]) * ROW_STEP[type];
}

/** Returns the KV format of a tensor of keys or values. Throws ShapeError for a dtype that the kernels do not read. */
export function cacheTypeOf(tensor: Tensor, where: string): CacheType {
  if (tensor.dtype in ROW_STEP) return tensor.dtype as CacheType;
  throw new ShapeError({
    where: `${where}, tensor ${tensor.label}`,
    expected: `keys and values as ${Object.keys(ROW_STEP).join(", ")}`,
    got: tensor.dtype,
    remedy: "upload floats",
  });
}

/** Quads that one lane writes: those that share scales. */
export const SPAN: Record<CacheType, number> = { f32: 1, f16: 1, q8: 16 };

/** The largest finite f16; the conversion of larger values is implementation-defined. */
const F16_MAX = "65504.0";

/** The WGSL element type of a cache tensor. */
const ELEMENT: Record<CacheType, string> = { f32: "vec4f", f16: "vec2u", q8: "u32" };

function declaration(binding: number, name: string, type: CacheType, access: "read" | "read_write"): string {
  const note = type === "q8" ? "  // [rows, stride] quads, then a scale for each 8" : "  // [rows, stride] quads";
  return `@group(0) @binding(${binding}) var<storage, ${access}> ${name}: array<${ELEMENT[type]}>;${note}\n`;
}

/** WGSL that reads quad i of the binding `name`. */
function loader(name: string, read: string, type: CacheType): string {
  switch (type) {
    case "f32":
      return `fn ${read}(i: u32) -> vec4f { return ${name}[i]; }`;
    case "f16":
      return `
fn ${read}(i: u32) -> vec4f {
  let w = ${name}[i];
  return vec4f(unpack2x16float(w.x), unpack2x16float(w.y));
}`;
    case "q8":
      return `
fn ${read}(i: u32) -> vec4f {
  let scales = unpack2x16float(${name}[arrayLength(&${name}) / 17u * 16u + i / 16u]);
  return unpack4x8snorm(${name}[i]) * select(scales.x, scales.y, (i & 8u) == 8u);
}`;
  }
}

/** WGSL that writes SPAN quads of the binding `name` from quad `at` on, a multiple of SPAN. */
function storer(name: string, write: string, type: CacheType): string {
  switch (type) {
    case "f32":
      return `fn ${write}(at: u32, quads: array<vec4f, SPAN>) { ${name}[at] = quads[0]; }`;
    case "f16":
      return `
fn ${write}(at: u32, quads: array<vec4f, SPAN>) {
  let e = clamp(quads[0], vec4f(-${F16_MAX}), vec4f(${F16_MAX}));
  ${name}[at] = vec2u(pack2x16float(e.xy), pack2x16float(e.zw));
}`;
    case "q8":
      return `
fn ${write}(at: u32, quads: array<vec4f, SPAN>) {
  var e = quads;
  var a = vec4f();
  var b = vec4f();
  for (var i = 0u; i < 8u; i++) {
    a = max(a, abs(e[i]));
    b = max(b, abs(e[i + 8u]));
  }
  let largest = min(vec2f(max(max(a.x, a.y), max(a.z, a.w)), max(max(b.x, b.y), max(b.z, b.w))), vec2f(${F16_MAX}));
  let scales = pack2x16float(largest);
  ${name}[arrayLength(&${name}) / 17u * 16u + at / 16u] = scales;
  let by = 1.0 / max(unpack2x16float(scales), vec2f(1e-30));
  for (var i = 0u; i < 16u; i++) { ${name}[at + i] = pack4x8snorm(e[i] * select(by.x, by.y, i > 7u)); }
}`;
  }
}

const forEachType = (make: (type: CacheType) => string): Record<CacheType, string> => ({
  f32: make("f32"),
  f16: make("f16"),
  q8: make("q8"),
});

/** `keyAt(i)` and `valueAt(i)` of the attention kernels: quad i of bindings 1 and 2. */
export const LOAD_KEYS = forEachType((type) => declaration(1, "k", type, "read") + loader("k", "keyAt", type));
export const LOAD_VALUES = forEachType((type) => declaration(2, "v", type, "read") + loader("v", "valueAt", type));

/** `storeKeys(at, quads)` and `storeValues(at, quads)` of `rope`: bindings 4 and 5. */
export const STORE_KEYS = forEachType(
  (type) => declaration(4, "keys", type, "read_write") + storer("keys", "storeKeys", type),
);
export const STORE_VALUES = forEachType(
  (type) => declaration(5, "values", type, "read_write") + storer("values", "storeValues", type),
);

/** All four functions on bindings 1 and 2, for a kernel that appends to the cache and reads it. */
export const UPDATE_CACHE = forEachType((type) =>
  [
    declaration(1, "k", type, "read_write") + loader("k", "keyAt", type),
    declaration(2, "v", type, "read_write") + loader("v", "valueAt", type),
    storer("k", "storeKeys", type),
    storer("v", "storeValues", type),
  ].join("\n"),
);
