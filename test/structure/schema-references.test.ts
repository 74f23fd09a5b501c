import { describe, expect, it } from "vitest";
import { SchemaReferences } from "../../src/structure/schema-references.js";

const N = { type: "null", $anchor: "n" };
const PART = { $id: "parts/a.json", $defs: { n: N, "a/b~c%": true, here: { $ref: "#/$defs/n" } } };
const WHOLE = { $id: "https://a.example/dir/", $defs: { part: PART, old: { $id: "#old" } } };

describe("a reference", () => {
  const references = new SchemaReferences(WHOLE);
  it.each<[object, string, unknown]>([
    [WHOLE, "#", WHOLE],
    [WHOLE, "#/$defs/part", PART],
    [WHOLE, "parts/a.json", PART],
    [WHOLE, "https://a.example/dir/parts/a.json#/$defs/n", N],
    [WHOLE, "parts/a.json#n", N],
    [WHOLE, "#/$defs/part/$defs/a~1b~0c%25", true],
    [WHOLE, "#old", WHOLE.$defs.old],
    [PART.$defs.here, "#/$defs/n", N],
    [PART.$defs.here, "#n", N],
    [PART, "a.json", PART],
    [WHOLE, "#n", undefined],
    [WHOLE, "#/$defs/none", undefined],
    [WHOLE, "#/$defs/toString", undefined],
    [WHOLE, "#/%", undefined],
    [WHOLE, "https://b.example/", undefined],
  ])("in %j: %s", (schema, reference, target) => {
    expect(references.at(schema as never, reference)?.schema).toBe(target);
  });

  it("from names that mean different things in two drafts is refused", () => {
    expect(() => new SchemaReferences({ items: { $id: "a", $ref: "#" } })).toThrow(
      /schema: \/items: .*\$id beside \$ref/,
    );
  });
});
