import { badSchema, checkKeywords, type Keywords } from "./schema-keywords.js";

/** A schema within the schema, and where it stands. */
export interface SchemaNode {
  readonly id: number;
  /** A JSON pointer from the root. */
  readonly path: string;
  /** `false` is a schema without keywords that nothing fits. */
  readonly keywords: Keywords;
  readonly never: boolean;
}

/** What a value can be; a `number` is one or the other of two. */
export type Kind = "null" | "boolean" | "object" | "array" | "string" | "integer" | "fraction";
export const KINDS: readonly Kind[] = ["null", "boolean", "object", "array", "string", "integer", "fraction"];

/** The schemas within a schema; each is checked when it is first met. */
export class SchemaNodes {
  readonly root: SchemaNode;
  readonly #whole: unknown;
  readonly #known = new Map<unknown, SchemaNode>();
  /** Those that are known not to refer to themselves. */
  readonly #straight = new Set<SchemaNode>();
  #count = 0;

  constructor(whole: object | boolean) {
    this.#whole = whole;
    this.root = this.at(whole, "");
  }

  /** The node of a schema that stands at `path`. */
  at(schema: unknown, path: string): SchemaNode {
    let node = this.#known.get(schema);
    if (!node) {
      const keywords = typeof schema === "object" ? (schema as Keywords) : {};
      checkKeywords(keywords, path);
      node = { id: this.#count++, path, keywords, never: schema === false };
      this.#known.set(schema, node);
    }
    return node;
  }

  /** The schemas of a list that is a keyword's value. */
  list(node: SchemaNode, keyword: string): SchemaNode[] {
    const list = (node.keywords[keyword] ?? []) as unknown[];
    return list.map((schema, i) => this.at(schema, `${node.path}/${keyword}/${i}`));
  }

  /** The schema that is a keyword's value. */
  one(node: SchemaNode, keyword: string): SchemaNode | undefined {
    const schema = node.keywords[keyword];
    return schema === undefined ? undefined : this.at(schema, `${node.path}/${keyword}`);
  }

  /** The schemas of an object that is a keyword's value, by name. */
  named(node: SchemaNode, keyword: string): Map<string, SchemaNode> {
    const schemas = (node.keywords[keyword] ?? {}) as Record<string, unknown>;
    const pointer = (name: string) => name.replaceAll("~", "~0").replaceAll("/", "~1");
    return new Map(
      Object.entries(schemas).map(([name, schema]) => [
        name,
        this.at(schema, `${node.path}/${keyword}/${pointer(name)}`),
      ]),
    );
  }

  /** These schemas and all that they demand besides through allOf and $ref, each once. */
  all(nodes: readonly SchemaNode[]): SchemaNode[] {
    const found = new Set(nodes);
    for (const node of found) {
      this.#refuseCircle(node, new Set());
      for (const part of this.#besides(node)) found.add(part);
    }
    return [...found];
  }

  #besides(node: SchemaNode): SchemaNode[] {
    const parts = this.list(node, "allOf");
    return node.keywords.$ref === undefined ? parts : [this.#referred(node), ...parts];
  }

  /** A schema that comes back to itself for the same value says nothing, or has no end. */
  #refuseCircle(node: SchemaNode, above: Set<SchemaNode>): void {
    if (this.#straight.has(node)) return;
    if (above.has(node)) {
      throw badSchema(
        node.path,
        "a schema that says something of its own",
        "one that only refers to itself",
        "break the circle of $ref, allOf, anyOf and oneOf",
      );
    }
    above.add(node);
    const parts = [...this.#besides(node), ...this.list(node, "anyOf"), ...this.list(node, "oneOf")];
    for (const part of parts) this.#refuseCircle(part, above);
    above.delete(node);
    this.#straight.add(node);
  }

  #referred(node: SchemaNode): SchemaNode {
    const reference = node.keywords.$ref as string;
    const fault = () =>
      badSchema(
        `${node.path}/$ref`,
        "a place in this schema, such as #/$defs/name",
        JSON.stringify(reference),
        "put the schema under $defs, and refer to it there",
      );
    if (!/^#(?:\/|$)/.test(reference)) throw fault();
    const steps = reference.split("/").slice(1);
    let schema = this.#whole;
    for (const step of steps) {
      const name = decoded(step)?.replaceAll("~1", "/").replaceAll("~0", "~");
      const inside = typeof schema === "object" && schema !== null && name !== undefined && Object.hasOwn(schema, name);
      if (!inside) throw fault();
      schema = (schema as Record<string, unknown>)[name];
    }
    if (typeof schema !== "boolean" && (typeof schema !== "object" || schema === null || Array.isArray(schema)))
      throw fault();
    return this.at(schema, reference.slice(1));
  }
}

function decoded(step: string): string | undefined {
  try {
    return decodeURIComponent(step);
  } catch {
    return undefined;
  }
}

/** The kinds of value that all of these schemas, none of their other keywords considered, leave. */
export function kindsOf(nodes: readonly SchemaNode[]): Set<Kind> {
  const kinds = new Set<Kind>(nodes.some(({ never }) => never) ? [] : KINDS);
  for (const { keywords } of nodes) {
    if (keywords.type === undefined) continue;
    const types = [keywords.type].flat() as string[];
    for (const kind of kinds) {
      const fits = types.includes(kind) || (types.includes("number") && (kind === "integer" || kind === "fraction"));
      if (!fits) kinds.delete(kind);
    }
  }
  return kinds;
}
