import { KernelError, LimitError } from "../base/errors.js";

/** A storage binding as declared in the WGSL. */
export interface Binding {
  readonly name: string;
  readonly index: number;
  readonly writable: boolean;
}

/** A field of `struct Params`, 4 bytes each. */
export interface ParameterField {
  readonly name: string;
  readonly type: "u32" | "i32" | "f32";
}

/** Become `const NAME = 16u;` lines of the WGSL. */
export type Constants = Readonly<Record<string, number>>;

const BINDING = /@group\(0\)\s*@binding\((\d+)\)\s*var<storage,\s*(read|read_write)>\s*(\w+)\s*:/g;
const PARAMS = /struct\s+Params\s*\{([^}]*)\}/;
const FIELD = /(\w+)\s*:\s*(u32|i32|f32)\s*,?/g;

/** The declaration of the parameters, as a uniform or as immediate data. */
const UNIFORM = "@group(1) @binding(0) var<uniform> params: Params;";
const IMMEDIATE = "var<immediate> params: Params;";

/**
 * A compute kernel: a name, a constant WGSL body and the constants that host and shader share.
 *
 * Bindings (`@group(0) @binding(n) var<storage, …> name`) and parameters (`struct Params { … }`, used as `params`)
 * are read from the text and bound by name. Variants are header lines before the body; the final text is the
 * pipeline key.
 * @example
 * ```ts
 * // The WGSL declares the storage buffers x and y, and its workgroups have LANES threads.
 * const double = new Kernel("double", wgsl, { LANES: 64 });
 * const y = device.empty([4], "f32", "y");
 * device.run(double, { x, y }, {}, [1]);
 * ```
 */
export class Kernel<C extends Constants = Constants> {
  readonly text: string;
  readonly bindings: readonly Binding[];
  readonly parameters: readonly ParameterField[];

  constructor(
    readonly name: string,
    readonly body: string,
    readonly constants: C,
    readonly header: readonly string[] = [],
  ) {
    const enables = header.filter((line) => line.startsWith("enable "));
    const others = header.filter((line) => !line.startsWith("enable "));
    const numbers = Object.entries(constants).map(([key, value]) => `const ${key} = ${value}u;`);
    const source = [...enables, ...numbers, ...others, body].join("\n");
    const fields = PARAMS.exec(source.replaceAll(/\/\/.*$/gm, ""))?.[1];
    this.parameters = fields
      ? [...fields.matchAll(FIELD)].map((m) => ({ name: m[1]!, type: m[2] as ParameterField["type"] }))
      : [];
    this.text = fields ? `${source}\n${UNIFORM}\n` : source;
    this.bindings = [...source.matchAll(BINDING)].map((m) => ({
      index: Number(m[1]),
      writable: m[2] === "read_write",
      name: m[3]!,
    }));
    if (this.bindings.length === 0) {
      throw new KernelError({
        where: `kernel ${name}`,
        expected: "at least one @group(0) storage binding",
        got: "none",
        remedy: "declare bindings as `@group(0) @binding(0) var<storage, read> x: array<f32>;`",
      });
    }
  }

  /** Returns the WGSL with the parameters as immediate data if `immediate`, else as a uniform binding. */
  textWith(immediate: boolean): string {
    return immediate ? this.text.replace(UNIFORM, IMMEDIATE) : this.text;
  }

  readonly #variants = new Map<string, Kernel<C>>();

  /** Returns the same body with other constants and header lines; cached, one instance per text. */
  variant(constants: Partial<C>, ...header: string[]): Kernel<C> {
    let key = "";
    for (const name in constants) key += `${name}=${constants[name]},`;
    for (const line of header) key += `${lineNumber(line)},`;
    let kernel = this.#variants.get(key);
    if (!kernel) {
      kernel = new Kernel(this.name, this.body, { ...this.constants, ...constants }, [...this.header, ...header]);
      this.#variants.set(key, kernel);
    }
    return kernel;
  }
}

const lineNumbers = new Map<string, number>();

/** Interns a header line as a number, for short keys. */
function lineNumber(line: string): number {
  let number = lineNumbers.get(line);
  if (number === undefined) {
    number = lineNumbers.size;
    lineNumbers.set(line, number);
  }
  return number;
}

/** Workgroups in one, two or three dimensions. */
export type Grid = readonly [number, number?, number?];

/** The limit per dimension that every adapter supports. */
const MOST_WORKGROUPS = 65535;

/** Returns the three dimensions of a grid. Throws LimitError for one over the limits. */
export function gridOf(kernel: Kernel, [x, y = 1, z = 1]: Grid): readonly [number, number, number] {
  if (x > MOST_WORKGROUPS || y > MOST_WORKGROUPS || z > MOST_WORKGROUPS) {
    throw new LimitError({
      where: `kernel ${kernel.name}`,
      expected: `at most ${MOST_WORKGROUPS} workgroups a dimension`,
      got: `${x} × ${y} × ${z}`,
      remedy: "split the work by rows",
    });
  }
  return [x, y, z];
}

/** Adds line numbers to WGSL, for messages. */
export function numberedLines(text: string): string {
  return text
    .split("\n")
    .map((line, i) => `${String(i + 1).padStart(4)} ${line}`)
    .join("\n");
}
