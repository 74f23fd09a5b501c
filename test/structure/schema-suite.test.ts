import { beforeAll, describe, expect, it } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import { PatternFault } from "../../src/structure/fault.js";
import { Machine } from "../../src/structure/machine.js";
import { schemaPattern } from "../../src/structure/schema.js";
import { readFixture } from "../support/fixture.js";
import { reads } from "../support/machine-reads.js";

interface Group {
  readonly in: string;
  readonly schema: object | true;
  readonly tests: readonly (readonly [data: unknown, valid: boolean])[];
}

let suite: Record<string, readonly Group[]>;
beforeAll(async () => {
  const packed = new Blob([(await readFixture("schemas/json-schema-test-suite.json.gzip")) as BlobPart]);
  suite = JSON.parse(await new Response(packed.stream().pipeThrough(new DecompressionStream("gzip"))).text()) as never;
});

/** `undefined` for a schema that is refused, with the place; null for one that nothing fits. */
function machineOf(schema: object | true): Machine | null | undefined {
  try {
    return new Machine(schemaPattern(schema));
  } catch (cause) {
    if (cause instanceof PatternFault && cause.message === "one that no text fits") return null;
    expect(cause).toBeInstanceOf(OptionError);
    expect((cause as OptionError).fault.where).toMatch(/^schema(: \/|$)/);
    return undefined;
  }
}

describe("JSON-Schema-Test-Suite", () => {
  it.each([
    ["draft7", 185, 244, 269],
    ["draft2020-12", 192, 246, 289],
  ])(
    "of %s: %d schemas are taken, none of %d values that don't fit, and %d that do",
    (draft, taken, invalid, valid) => {
      const found = { taken: 0, invalid: 0, valid: 0 };
      const wrong: string[] = [];
      for (const { in: where, schema, tests } of suite[draft]!) {
        const machine = machineOf(schema);
        if (!machine) continue;
        found.taken++;
        for (const [data, fits] of tests) {
          const read = reads(machine, JSON.stringify(data));
          if (!fits) found.invalid++;
          if (!fits && read) wrong.push(`${where}: ${JSON.stringify(data)}`);
          if (fits && read) found.valid++;
        }
      }
      expect(wrong).toEqual([]);
      expect(found).toEqual({ taken, invalid, valid });
    },
  );
});
