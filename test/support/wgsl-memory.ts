// Sizes of variables, read from the text of a kernel: what an adapter with small limits is asked for.

/** Bytes and alignment of a type. */
interface Layout {
  readonly size: number;
  readonly align: number;
}

const SCALARS: Readonly<Record<string, Layout>> = {
  f32: { size: 4, align: 4 },
  u32: { size: 4, align: 4 },
  i32: { size: 4, align: 4 },
  bool: { size: 4, align: 4 },
  f16: { size: 2, align: 2 },
};
const SUFFIXES: Readonly<Record<string, string>> = { f: "f32", u: "u32", i: "i32", h: "f16" };

/** What a variable whose type is inferred takes at most, unless it is an array: a mat4x4f. */
const INFERRED_BYTES = 64;

/** Returns the bytes of workgroup memory, and of all variables of all functions, that a kernel declares. Throws for a size that it can't read. */
export function memoryOf(text: string): { workgroup: number; functions: number } {
  const source = text.replaceAll(/\/\/.*$/gm, "");
  const names = new Names(source);
  let workgroup = 0;
  for (const [, type] of source.matchAll(/var<workgroup>\s+\w+\s*:\s*([^;]+);/g)) workgroup += names.layout(type!).size;
  let functions = 0;
  for (const [, type, value] of source.matchAll(/\bvar\s+\w+\s*(?::\s*([^;=]+))?(?:=\s*([^;]+))?;/g)) {
    const array = type ?? /^array<.*?>(?=\()/s.exec(value ?? "")?.[0];
    functions += array === undefined ? INFERRED_BYTES : names.layout(array).size;
  }
  return { workgroup, functions };
}

/** The constants and aliases of a kernel. */
class Names {
  readonly #constants: ReadonlyMap<string, string>;
  readonly #aliases: ReadonlyMap<string, string>;

  constructor(source: string) {
    const constants = source.matchAll(/\bconst\s+(\w+)\s*(?::\s*\w+\s*)?=\s*([^;]+);/g);
    this.#constants = new Map([...constants].map((match) => [match[1]!, match[2]!]));
    const aliases = source.matchAll(/\balias\s+(\w+)\s*=\s*([^;]+);/g);
    this.#aliases = new Map([...aliases].map((match) => [match[1]!, match[2]!]));
  }

  layout(type: string): Layout {
    const name = type.trim();
    const alias = this.#aliases.get(name);
    if (alias) return this.layout(alias);
    const scalar = SCALARS[name];
    if (scalar) return scalar;
    const atomic = /^atomic<(.+)>$/.exec(name);
    if (atomic) return this.layout(atomic[1]!);
    const array = /^array<(.+),\s*([^,]+)>$/s.exec(name);
    if (array) {
      const element = this.layout(array[1]!);
      return { size: this.#value(array[2]!) * roundUp(element.size, element.align), align: element.align };
    }
    const matrix = /^mat(\d)x(\d)(f|h)$/.exec(name);
    if (matrix) {
      const column = this.layout(`vec${matrix[2]}${matrix[3]}`);
      return { size: Number(matrix[1]) * roundUp(column.size, column.align), align: column.align };
    }
    const vector = /^vec([234])(?:([fuih])|<(.+)>)$/.exec(name);
    if (vector) {
      const count = Number(vector[1]);
      const { size } = this.layout(vector[3] ?? SUFFIXES[vector[2]!]!);
      return { size: count * size, align: (count === 3 ? 4 : count) * size };
    }
    throw new Error(`the size of ${name} is not known`);
  }

  /** The value of a constant expression of whole numbers. */
  #value(expression: string): number {
    const parts = expression.split(/(\b[A-Za-z_]\w*\b)/).map((part) => {
      const constant = this.#constants.get(part);
      return constant === undefined ? part : `(${this.#value(constant)})`;
    });
    const plain = parts.join("").replaceAll(/(\d+)u\b/g, "$1");
    if (!/^[\d\s()+*/%-]+$/.test(plain)) throw new Error(`${expression} is no number`);
    // Division of whole numbers, as WGSL's.
    return Number(new Function(`return ${plain.replaceAll(/\d+/g, "$&n")}`)());
  }
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
