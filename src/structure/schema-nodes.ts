import { isObject } from "../base/is-object.js";
import { badSchema, checkKeywords, type Keywords } from "./schema-keywords.js";
import { pointerStep, SchemaReferences } from "./schema-references.js";

/** A subschema and its path. */
export interface SchemaNode {
  readonly id: number;
  /** A JSON pointer from the root. */
  readonly path: string;
  /** `false` is a schema without keywords that matches nothing. */
  readonly keywords: Keywords;
  readonly never: boolean;
}

/** JSON types; `number` is split into integers and others. */
export type Kind = "null" | "boolean" | "object" | "array" | "string" | "integer" | "fraction";
export const KINDS: readonly Kind[] = ["null", "boolean", "object", "array", "string", "integer", "fraction"];

const NULL = { type: "null" };

/** The subschemas of a schema; each is validated on first use. */
export class SchemaNodes {
  readonly root: SchemaNode;
  readonly #references: SchemaReferences;
  readonly #lists = new Map<string, readonly SchemaNode[]>();
  readonly #maps = new Map<string, ReadonlyMap<string, SchemaNode>>();
  readonly #known = new Map<unknown, SchemaNode>();
  /** Nodes that are known not to be circular. */
  readonly #straight = new Set<SchemaNode>();
  #count = 0;

  constructor(whole: object | boolean) {
    this.#references = new SchemaReferences(whole as Keywords | boolean);
    this.root = this.at(whole, "");
  }

  /** Returns the node of a schema at `path`. */
  at(schema: unknown, path: string): SchemaNode {
    let node = this.#known.get(schema);
    if (!node) {
      const given = isObject(schema) ? schema : {};
      checkKeywords(given, path);
      const { not } = given;
      const keywords = this.#modern(given, path);
      const never = schema === false || (not !== undefined && not !== false);
      node = { id: this.#count++, path, keywords, never };
      this.#known.set(schema, node);
    }
    return node;
  }

  /** Translates keywords of draft 7 and OpenAPI 3.0 to draft 2020-12. */
  #modern(given: Keywords, path: string): Keywords {
    const { items, additionalItems, minimum, exclusiveMinimum, maximum, exclusiveMaximum, nullable, type } = given;
    const keywords: Record<string, unknown> = { ...given };
    delete keywords.additionalItems;
    delete keywords.nullable;
    if (Array.isArray(items)) {
      keywords.prefixItems = items;
      for (const [i, item] of items.entries()) this.at(item, `${path}/items/${i}`);
      if (additionalItems === undefined) delete keywords.items;
      else keywords.items = this.at(additionalItems, `${path}/additionalItems`) && additionalItems;
    }
    if (typeof exclusiveMinimum === "boolean") {
      delete keywords.exclusiveMinimum;
      if (exclusiveMinimum) keywords.exclusiveMinimum = minimum;
    }
    if (typeof exclusiveMaximum === "boolean") {
      delete keywords.exclusiveMaximum;
      if (exclusiveMaximum) keywords.exclusiveMaximum = maximum;
    }
    this.#references.stand(keywords, given);
    if (nullable !== true) return keywords;
    const listed = given.enum !== undefined || "const" in given;
    if (type !== undefined && !listed) return { ...keywords, type: [...[type].flat(), "null"] };
    // Other schemas, such as allOf with a reference, are alternatives to null.
    this.#known.set(keywords, { id: this.#count++, path, keywords, never: false });
    return { anyOf: [keywords, NULL] };
  }

  /** Returns the node without one of its keywords. */
  without(node: SchemaNode, keyword: string): SchemaNode {
    const { [keyword]: _, ...keywords } = node.keywords;
    this.#references.stand(keywords, node.keywords);
    return { ...node, id: this.#count++, keywords };
  }

  /** Returns the schemas of a keyword whose value is a list. */
  list(node: SchemaNode, keyword: string): readonly SchemaNode[] {
    const key = `${node.id} ${keyword}`;
    let found = this.#lists.get(key);
    if (!found) {
      const list = (node.keywords[keyword] ?? []) as unknown[];
      found = list.map((schema, i) => this.at(schema, `${node.path}/${keyword}/${i}`));
      this.#lists.set(key, found);
    }
    return found;
  }

  /** Returns the schema of a keyword. */
  one(node: SchemaNode, keyword: string): SchemaNode | undefined {
    const schema = node.keywords[keyword];
    return schema === undefined ? undefined : this.at(schema, `${node.path}/${keyword}`);
  }

  /** Returns the schemas of a keyword whose value is an object, by name. */
  named(node: SchemaNode, keyword: string): ReadonlyMap<string, SchemaNode> {
    const key = `${node.id} ${keyword}`;
    let found = this.#maps.get(key);
    if (!found) {
      const schemas = Object.entries((node.keywords[keyword] ?? {}) as Record<string, unknown>);
      found = new Map(
        schemas.map(([name, schema]) => [name, this.at(schema, `${node.path}/${keyword}/${pointerStep(name)}`)]),
      );
      this.#maps.set(key, found);
    }
    return found;
  }

  /** Returns the transitive closure of nodes under allOf and $ref, without duplicates. */
  all(nodes: readonly SchemaNode[]): SchemaNode[] {
    const found = new Set(nodes);
    for (const node of found) {
      this.#refuseCircle(node, new Set());
      for (const part of this.#besides(node)) found.add(part);
    }
    return [...found];
  }

  #besides(node: SchemaNode): readonly SchemaNode[] {
    const parts = this.list(node, "allOf");
    return node.keywords.$ref === undefined ? parts : [this.#referred(node), ...parts];
  }

  /** Rejects circular references for the same value. */
  #refuseCircle(node: SchemaNode, above: Set<SchemaNode>): void {
    if (this.#straight.has(node)) return;
    if (above.has(node)) {
      throw badSchema(
        node.path,
        "a schema with conditions of its own",
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
    const found = this.#references.at(node.keywords, reference);
    if (typeof found?.schema !== "boolean" && !isObject(found?.schema)) {
      throw badSchema(
        `${node.path}/$ref`,
        "a place in this schema, such as #/$defs/name",
        JSON.stringify(reference.slice(0, 100)),
        "put the schema under $defs, and refer to it there",
      );
    }
    return this.at(found.schema, found.pointer ?? `${node.path}/$ref`);
  }
}

/** The types that `type` allows in all of these schemas. */
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
