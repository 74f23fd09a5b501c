import { isObject } from "../base/is-object.js";
import { badSchema, type Keywords, SUBSCHEMAS } from "./schema-keywords.js";

/** Maximum depth; typical schemas have ten levels. */
const DEEPEST = 200;
/** Maximum number of subschemas. */
const MOST_SCHEMAS = 10_000;
/** Base URI of schemas without `$id`. */
const NO_BASE = "schema:///";

/** Resolves `$ref`: schemas by `$id` and `$anchor`, and base URIs of subschemas. */
export class SchemaReferences {
  /** Schemas by absolute URI; anchors with their fragment. */
  readonly #named = new Map<string, Keywords | boolean>();
  /** Base URI of a schema: the nearest enclosing `$id`. */
  readonly #bases = new Map<Keywords, string>();

  /** Indexes a schema. Throws OptionError for one that is too deep or too large. */
  constructor(whole: Keywords | boolean) {
    this.#named.set(NO_BASE, whole);
    const open: { schema: Keywords; path: string; base: string; depth: number }[] = [];
    const add = (schema: unknown, path: string, base: string, depth: number): void => {
      if (!isObject(schema) || this.#bases.has(schema)) return;
      if (depth > DEEPEST) {
        throw badSchema(path, `at most ${DEEPEST} levels`, "more", "put what repeats under $defs and refer to it");
      }
      this.#bases.set(schema, base);
      if (this.#bases.size > MOST_SCHEMAS) {
        throw badSchema(
          path,
          `at most ${MOST_SCHEMAS} schemas`,
          "more",
          "put what repeats under $defs and refer to it",
        );
      }
      open.push({ schema, path, base: this.#name(schema, path, base), depth });
    };
    add(whole, "", NO_BASE, 0);
    for (let next = open.pop(); next; next = open.pop()) {
      const { schema, path, base, depth } = next;
      for (const [keyword, kind] of SUBSCHEMAS) {
        const value = Object.hasOwn(schema, keyword) ? schema[keyword] : undefined;
        const at = `${path}/${keyword}`;
        if (kind === "named" && isObject(value)) {
          for (const [name, inner] of Object.entries(value)) add(inner, `${at}/${pointerStep(name)}`, base, depth + 1);
        } else if (Array.isArray(value)) {
          for (const [i, inner] of value.entries()) add(inner, `${at}/${i}`, base, depth + 1);
        } else if (kind !== "named") add(value, at, base, depth + 1);
      }
    }
  }

  /** Registers the names of a schema, and returns the base URI of its subschemas. */
  #name(schema: Keywords, path: string, base: string): string {
    const { $id, $anchor, $ref } = schema;
    let own = base;
    if (typeof $id === "string") {
      if (path !== "" && $ref !== undefined) {
        const expected = "a schema with a name of its own, or one that refers to another";
        throw badSchema(
          path,
          expected,
          "$id beside $ref, which drafts 7 and 2020-12 read differently",
          "leave $id out",
        );
      }
      const uri = resolved($id, base);
      // Up to draft 7, an `$id` of a fragment only was what `$anchor` is now.
      if (uri && $id.startsWith("#")) this.#named.set(uri, schema);
      else if (uri) {
        own = uri.replace(/#.*$/s, "");
        this.#named.set(own, schema);
        this.#bases.set(schema, own);
      }
    }
    if (typeof $anchor === "string") this.#named.set(`${own}#${$anchor}`, schema);
    return own;
  }

  /** Resolves a reference in `schema` to a schema, with its JSON pointer if the reference has one. */
  at(
    schema: Keywords,
    reference: string,
  ): { readonly schema: unknown; readonly pointer: string | undefined } | undefined {
    const uri = resolved(reference, this.baseOf(schema));
    if (uri === undefined) return undefined;
    const [resource, fragment = ""] = uri.split("#", 2) as [string, string?];
    if (fragment !== "" && !fragment.startsWith("/")) {
      const named = this.#named.get(`${resource}#${fragment}`);
      return named === undefined ? undefined : { schema: named, pointer: undefined };
    }
    let found: unknown = this.#named.get(resource);
    if (found === undefined) return undefined;
    for (const step of fragment.split("/").slice(1)) {
      const name = decoded(step)?.replaceAll("~1", "/").replaceAll("~0", "~");
      const inside = typeof found === "object" && found !== null && name !== undefined && Object.hasOwn(found, name);
      if (!inside) return undefined;
      found = (found as Record<string, unknown>)[name];
    }
    if (isObject(found) && !this.#bases.has(found)) this.#bases.set(found, resource);
    return { schema: found, pointer: resource === NO_BASE ? fragment : undefined };
  }

  baseOf(schema: Keywords): string {
    return this.#bases.get(schema) ?? NO_BASE;
  }

  /** Registers `copy` with the base URI of `schema`. */
  stand(copy: Keywords, schema: Keywords): void {
    this.#bases.set(copy, this.baseOf(schema));
  }
}

export function pointerStep(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}

function resolved(reference: string, base: string): string | undefined {
  try {
    return new URL(reference, base).href;
  } catch {
    return undefined;
  }
}

function decoded(step: string): string | undefined {
  try {
    return decodeURIComponent(step);
  } catch {
    return undefined;
  }
}
