import { numberPattern } from "./json-number.js";
import { literal } from "./json-text.js";
import { choice, NEVER, type Pattern, Rule, text } from "./pattern.js";
import { Apart, limitsOf, toldApart, valuesOf } from "./schema-apart.js";
import { arrayPattern } from "./schema-array.js";
import { isTextFormat } from "./schema-formats.js";
import { holds } from "./schema-holds.js";
import { badSchema, KEYWORDS_OF } from "./schema-keywords.js";
import { KINDS, type Kind, kindsOf, type SchemaNode, SchemaNodes } from "./schema-nodes.js";
import { objectPattern } from "./schema-object.js";
import { stringPattern, within } from "./schema-string.js";
import { atOnce, TimeSlice } from "./time-slices.js";

/**
 * Pattern of JSON texts that are valid against a schema: compact, with optional spaces after commas and colons, each character of a string
 * in its shortest spelling. Throws OptionError with the path of what is not supported.
 */
export function schemaPattern(whole: object | true): Pattern {
  return atOnce(schemaPatterns(whole));
}

/** The same in time slices. */
export function* schemaPatterns(whole: object | true): Generator<void, Pattern> {
  try {
    return yield* new Compiler(whole).whole();
  } catch (cause) {
    // The engine's stack overflow.
    if (!(cause instanceof RangeError)) throw cause;
    throw badSchema("", "a schema without deep nesting", "one that is nested too deeply", "make it simpler");
  }
}

/** Maximum combinations of schemas; more result from options that multiply. */
const MOST_MET = 5000;
/** Maximum characters of the values of an `enum`; each is a state. */
const MOST_ENUM = 60_000;

class Compiler {
  readonly #schemas: SchemaNodes;
  readonly #rules = new Map<string, Rule>();
  /** Rules without a body yet. */
  readonly #pending: (() => void)[] = [];
  #met = 0;

  constructor(whole: object | true) {
    this.#schemas = new SchemaNodes(whole);
  }

  *whole(): Generator<void, Pattern> {
    const turn = new TimeSlice();
    const root = this.value();
    for (let next = this.#pending.pop(); next; next = this.#pending.pop()) {
      next();
      if (turn.over()) {
        yield;
        turn.begin();
      }
    }
    return root;
  }

  /** Pattern of the values that match all nodes; the nodes include the selected options of the anyOf and oneOf in `chosen`. */
  value(nodes: readonly SchemaNode[] = [this.#schemas.root], chosen: readonly string[] = []): Pattern {
    const all = this.#schemas.all(nodes);
    const key = [...all.map(({ id }) => id).sort((a, b) => a - b), ...[...chosen].sort()].join(",");
    let rule = this.#rules.get(key);
    if (!rule) {
      const path = all.at(-1)?.path ?? "";
      this.#met += all.length;
      if (this.#met > MOST_MET)
        throw badSchema(path, "fewer combinations of options", `more than ${MOST_MET}`, "simplify anyOf and oneOf");
      const made = new Rule(`the schema at #${path}`);
      this.#rules.set(key, made);
      this.#pending.push(() => {
        made.body = this.#body(all, chosen);
      });
      rule = made;
    }
    return rule;
  }

  #body(nodes: readonly SchemaNode[], chosen: readonly string[]): Pattern {
    for (const node of nodes) {
      for (const keyword of ["anyOf", "oneOf"]) {
        const name = `${node.id} ${keyword}`;
        const options = this.#schemas.list(node, keyword);
        if (options.length === 0 || chosen.includes(name)) continue;
        if (keyword === "oneOf") this.#checkApart(node, options);
        return choice(...options.map((option) => this.value([...nodes, option], [...chosen, name])));
      }
    }
    const values = valuesOf(nodes);
    if (values) {
      const length = values.reduce<number>((sum, value) => sum + JSON.stringify(value).length, 0);
      if (length > MOST_ENUM) {
        const path = nodes.find(({ keywords }) => keywords.enum ?? keywords.const)?.path ?? "";
        throw badSchema(
          `${path}/enum`,
          `values of at most ${MOST_ENUM} characters together`,
          String(length),
          "ask for a part of them",
        );
      }
      const fitting = values.filter((value) => nodes.every((node) => holds(this.#schemas, node, value)));
      return choice(...fitting.map(literal));
    }
    return choice(...[...this.#kinds(nodes)].map((kind) => this.#ofKind(kind, nodes)));
  }

  /** Without `type`, the keywords imply the types that they apply to. */
  #kinds(nodes: readonly SchemaNode[]): Set<Kind> {
    const kinds = kindsOf(nodes);
    if (nodes.some(({ keywords }) => keywords.type !== undefined)) return kinds;
    const speaks = (type: string) =>
      KEYWORDS_OF[type]?.some((keyword) =>
        nodes.some(({ keywords }) =>
          keyword === "format" ? isTextFormat(keywords.format) : keywords[keyword] !== undefined,
        ),
      );
    const meant = KINDS.filter(
      (kind) => kinds.has(kind) && speaks(kind === "integer" || kind === "fraction" ? "number" : kind),
    );
    return meant.length > 0 ? new Set(meant) : kinds;
  }

  #ofKind(kind: Kind, nodes: readonly SchemaNode[]): Pattern {
    switch (kind) {
      case "null":
        return text("null");
      case "boolean":
        return choice(text("true"), text("false"));
      case "string":
        return stringPattern(nodes);
      case "integer":
        // Numbers include integers.
        return this.#kinds(nodes).has("fraction") ? NEVER : numberPattern({ ...limitsOf(nodes), whole: true });
      case "fraction":
        return numberPattern(limitsOf(nodes));
      case "array":
        return arrayPattern(this.#schemas, nodes, (inner) => this.value(inner));
      case "object":
        return objectPattern(this.#schemas, nodes, (inner) => this.value(inner));
    }
  }

  #checkApart(node: SchemaNode, options: readonly SchemaNode[]): void {
    // The oneOf itself must not be assumed.
    const rest = this.#schemas.without(node, "oneOf");
    const all = options.map((option) => this.#schemas.all([rest, option]));
    if (toldApart(this.#schemas, all)) return;
    const apart = new Apart(this.#schemas);
    for (let j = 1; j < all.length; j++) {
      const i = within([node], () => all.findIndex((one, k) => k < j && !apart.are(one, all[j]!)));
      if (i < 0) continue;
      throw badSchema(
        `${node.path}/oneOf`,
        "options of which no value can fit two",
        `${i} and ${j}, which may overlap`,
        "write anyOf, or give each a type of its own or a required property with a const of its own",
      );
    }
  }
}
