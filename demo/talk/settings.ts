import { computed, effect, signal } from "@preact/signals";
import type { GenerateOptions } from "ocellus";
import { keep, recall } from "../remembered.js";
import { FRAMES } from "./media.js";

export type ImageMode = NonNullable<GenerateOptions["imageMode"]>;

/** What the visitor set for all questions; remembered by this browser. */
export interface Settings {
  readonly system: string;
  readonly maxNewTokens: number;
  /** Sampling temperature; 0 means greedy decoding. */
  readonly temperature: number;
  readonly topP: number;
  /** Random seed; undefined for another one each time. */
  readonly seed: number | undefined;
  /** Stop sequences, one a line. */
  readonly stop: string;
  /** JSON schema of the answer as text; empty for none. */
  readonly schema: string;
  readonly imageMode: ImageMode;
  /** Frames of a clip that is added. */
  readonly frames: number;
}

export const DEFAULTS: Settings = {
  system: "",
  maxNewTokens: 256,
  temperature: 0,
  topP: 1,
  seed: undefined,
  stop: "",
  schema: "",
  imageMode: "auto",
  frames: FRAMES,
};

const KEY = "ocellus settings";

function stored(): Settings {
  try {
    const given = JSON.parse(recall(KEY) ?? "{}") as Record<string, unknown>;
    const known = Object.entries(DEFAULTS).map(([name, value]) => {
      const own = given[name];
      return [name, typeof own === typeof value || (name === "seed" && typeof own === "number") ? own : value];
    });
    return Object.fromEntries(known) as Settings;
  } catch {
    return DEFAULTS;
  }
}

export const settings = signal<Settings>(stored());
effect(() => keep(KEY, JSON.stringify(settings.value)));

export function change(some: Partial<Settings>): void {
  settings.value = { ...settings.value, ...some };
}

/** The schema of answers, or why its text is none. */
export const schema = computed((): { readonly value?: object; readonly fault?: string } => {
  const text = settings.value.schema.trim();
  if (text === "") return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return { value };
    return { fault: 'A JSON schema is an object, such as { "type": "object", … }.' };
  } catch (error) {
    return { fault: `This is not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
});

/** The options of an answer. */
export function generateOptions(): GenerateOptions {
  const { maxNewTokens, temperature, topP, seed, stop, imageMode } = settings.value;
  const stops = stop.split("\n").filter((line) => line !== "");
  return {
    maxNewTokens,
    imageMode,
    ...(temperature > 0 && { temperature, ...(topP < 1 && { topP }), ...(seed !== undefined && { seed }) }),
    ...(stops.length > 0 && { stop: stops }),
    ...(schema.value.value && { schema: schema.value.value }),
  };
}
