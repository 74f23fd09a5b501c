/** Structured output in vLLM's fields: `guided_json` and its siblings, and `structured_outputs`, which has replaced them there. */
import { shown } from "../base/errors.js";
import { isObject } from "../base/is-object.js";
import type { StructureOptions } from "../models/chat/structure-options.js";
import { RequestError } from "./api-error.js";
import { checkFields, type Fields, isText, optional } from "./fields.js";

const MOST_CHOICES = 1000;

/** Kinds of structure, and how the value of each is read. */
const KINDS: Readonly<Record<string, (param: string, value: unknown) => StructureOptions>> = {
  json: (param, value) => ({ schema: schemaOf(param, value) }),
  regex: (param, value) => ({ regex: textOf(param, value, "a regular expression") }),
  choice: (param, value) => ({ regex: choicesOf(param, value) }),
  grammar: (param, value) => ({ grammar: textOf(param, value, "a grammar in EBNF, whose rule `root` is the answer") }),
  json_object: (param, value) => {
    if (value === true) return { schema: { type: "object" } };
    throw new RequestError(param, { expected: "true", got: shown(value), remedy: "leave it out" });
  },
};
const NAMES = Object.keys(KINDS);
const GUIDED = NAMES.filter((name) => name !== "json_object").map((name) => `guided_${name}`);

/** Fields that choose an implementation of vLLM, and do not affect which answers are allowed. */
const BACKEND = "guided_decoding_backend";

/** Fields of a request that this file reads. */
export const STRUCTURE_FIELDS = [...GUIDED, "structured_outputs", BACKEND];

/** Reads the structure of an answer; `format`: the schema of the API's own field, called `formatName`. Throws RequestError. */
export function readStructure(request: Fields, format: object | undefined, formatName: string): StructureOptions {
  const found: [param: string, structure: StructureOptions][] = [];
  if (format) found.push([formatName, { schema: format }]);
  for (const [i, param] of GUIDED.entries()) {
    const value = request[param];
    if (value !== undefined && value !== null) found.push([param, KINDS[NAMES[i]!]!(param, value)]);
  }
  const outputs = optional(request, "structured_outputs", "an object", isObject);
  if (outputs) {
    checkFields("structured_outputs", outputs, NAMES, {
      disable_any_whitespace: "leave it out: JSON is compact here",
      whitespace_pattern: "leave it out: JSON is compact here",
      structural_tag: "leave it out: structural tags are not supported",
    });
    for (const [name, value] of Object.entries(outputs)) {
      const param = `structured_outputs.${name}`;
      if (value !== undefined && value !== null) found.push([param, KINDS[name]!(param, value)]);
    }
  }
  if (found.length < 2) return found[0]?.[1] ?? {};
  throw new RequestError(found[1]![0], {
    expected: "one field that says the form of the answer",
    got: found.map(([param]) => param).join(" and "),
    remedy: "leave all but one out",
  });
}

function textOf(param: string, value: unknown, expected: string): string {
  if (isText(value)) return value;
  throw new RequestError(param, { expected, got: shown(value), remedy: "send a string" });
}

/** vLLM takes a schema as an object, or as its JSON text. */
function schemaOf(param: string, value: unknown): object {
  let schema = value;
  if (isText(value)) {
    try {
      schema = JSON.parse(value);
    } catch {
      // Falls through to the error.
    }
  }
  if (isObject(schema)) return schema;
  const remedy = 'send { "type": "object", "properties": { … } }';
  throw new RequestError(param, { expected: "a JSON schema, or its JSON text", got: shown(value), remedy });
}

/** The expression that matches each of the choices. */
function choicesOf(param: string, value: unknown): string {
  if (Array.isArray(value) && value.length > 0 && value.length <= MOST_CHOICES && value.every(isText)) {
    return value.map((text) => text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("|");
  }
  const expected = `a list of 1 to ${MOST_CHOICES} texts`;
  throw new RequestError(param, { expected, got: shown(value), remedy: 'send ["yes", "no"]' });
}
