import type { Device } from "../runtime/device.js";
import type { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

/** Stands for a tensor that a row of logits does without: no counts, no bias or no mask. */
export const ABSENT = 2 ** 32 - 1;

/** What the choice of a token from a row of logits depends on, 4 bytes each. Places are elements of tensors that several rows share. */
const FIELDS = {
  inverseTemperature: "f32",
  repetition: "f32",
  presence: "f32",
  frequency: "f32",
  topK: "u32",
  topP: "f32",
  logMinP: "f32",
  upperKey: "u32",
  lowerKey: "u32",
  answerPlace: "u32",
  tokenPlace: "u32",
  firstLogit: "u32",
  firstCount: "u32",
  firstBias: "u32",
  firstMask: "u32",
} as const;

type Field = keyof typeof FIELDS;
const NAMES = Object.keys(FIELDS) as Field[];
/** Places that are 0 for one row, whose tensors are its own. */
const OWN: ReadonlySet<Field> = new Set(["tokenPlace", "firstLogit", "firstCount", "firstBias", "firstMask"]);

export type ChoiceParameters = Readonly<Record<Field, number>>;

/** Parameters that choose the argmax of one row. */
export const PLAIN_CHOICE: ChoiceParameters = {
  inverseTemperature: 1,
  repetition: 1,
  presence: 0,
  frequency: 0,
  topK: 0,
  topP: 1,
  // Below every difference of logits.
  logMinP: -3e38,
  upperKey: 0,
  lowerKey: 0,
  answerPlace: 0,
  tokenPlace: 0,
  firstLogit: 0,
  firstCount: 0,
  firstBias: 0,
  firstMask: 0,
};

/** Rows of logits whose kernels run together: one with its parameters, or several, a workgroup's y selecting the row. */
export type ChoiceRows =
  | { readonly of: "one"; readonly count: 1; readonly parameters: ChoiceParameters }
  | { readonly of: "several"; readonly count: number; readonly choices: Tensor };

/** One row of logits `[1, V]`. */
export function oneChoice(parameters: ChoiceParameters): ChoiceRows {
  return { of: "one", count: 1, parameters };
}

/** Uploads the parameters of several rows. */
export function severalChoices(device: Device, rows: readonly ChoiceParameters[]): ChoiceRows {
  const words = new Uint32Array(rows.length * NAMES.length);
  const floats = new Float32Array(words.buffer);
  for (const [row, parameters] of rows.entries()) {
    for (const [i, name] of NAMES.entries()) {
      const at = row * NAMES.length + i;
      if (FIELDS[name] === "f32") floats[at] = parameters[name];
      else words[at] = parameters[name];
    }
  }
  return { of: "several", count: rows.length, choices: device.upload(words, [rows.length, NAMES.length], "choices") };
}

/** The parameters of a sampling kernel, in two variants of its WGSL with the same arithmetic. */
export interface RowHeader {
  /** Of all rows, by name. */
  readonly common: readonly string[];
  readonly fields: readonly Field[];
  readonly one: string;
  readonly several: string;
}

/**
 * WGSL with `struct Params`, a function `<field>Of(row)` for each of `fields`, and `rowStart(row, width)`, where a row begins in a tensor
 * `[rows, width]`. `common`: u32 parameters that all rows have.
 */
export function rowHeader(common: readonly string[], fields: readonly Field[]): RowHeader {
  const shared = common.map((name) => `${name}: u32`);
  const passed = fields.filter((field) => !OWN.has(field));
  const one = fields.map((field) => {
    const value = OWN.has(field) ? "0u" : `params.${field}`;
    return `fn ${field}Of(row: u32) -> ${FIELDS[field]} { return ${value}; }`;
  });
  const several = fields.map((field) => {
    const word = `choices[${NAMES.length}u * row + ${NAMES.indexOf(field)}u]`;
    const value = FIELDS[field] === "f32" ? `bitcast<f32>(${word})` : word;
    return `fn ${field}Of(row: u32) -> ${FIELDS[field]} { return ${value}; }`;
  });
  const choices = "@group(0) @binding(7) var<storage, read> choices: array<u32>;";
  return {
    common,
    fields,
    one: [
      `struct Params { ${[...shared, ...passed.map((field) => `${field}: ${FIELDS[field]}`)].join(", ")} }`,
      "fn rowStart(row: u32, width: u32) -> u32 { return 0u; }",
      ...one,
    ].join("\n"),
    several: [
      ...(shared.length > 0 ? [`struct Params { ${shared.join(", ")} }`] : []),
      ...(fields.length > 0 ? [choices] : []),
      "fn rowStart(row: u32, width: u32) -> u32 { return row * width; }",
      ...several,
    ].join("\n"),
  };
}

/** Runs a sampling kernel over all rows, with `across` workgroups each. */
export function runRows(
  device: Device,
  kernel: Kernel,
  header: RowHeader,
  rows: ChoiceRows,
  tensors: Readonly<Record<string, Tensor>>,
  common: Readonly<Record<string, number>>,
  across: number,
): void {
  const { fields } = header;
  const variant = kernel.variant({}, header[rows.of]);
  if (rows.of === "several") {
    const bound = fields.length > 0 ? { ...tensors, choices: rows.choices } : tensors;
    device.run(variant, bound, common, [across, rows.count]);
    return;
  }
  const parameters: Record<string, number> = { ...common };
  for (const field of fields) if (!OWN.has(field)) parameters[field] = rows.parameters[field];
  device.run(variant, tensors, parameters, [across]);
}
