import { readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";
import * as errors from "../../src/base/errors.js";
import { ROOT } from "../support/cli.js";

// The table of docs/guides/errors.md has exactly the codes that there are, with their classes.

interface Row {
  readonly code: string;
  readonly name: string;
  readonly when: string;
  readonly remedy: string;
}

const ROWS: readonly Row[] = readFileSync(join(ROOT, "docs/guides/errors.md"), "utf8")
  .split("\n")
  .flatMap((line) => {
    const [, code, name, when, remedy] = /^\| `(\w+)` \| `(\w+)` \| (.+?) \| (.+?) \|$/.exec(line) ?? [];
    return code && name && when && remedy ? [{ code, name, when, remedy }] : [];
  });

/** The members of the union ErrorCode, in its order. */
function codes(): string[] {
  const path = join(ROOT, "src/base/errors.ts");
  const source = ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.ES2022);
  const union = source.statements.find((node) => ts.isTypeAliasDeclaration(node) && node.name.text === "ErrorCode");
  const members = ((union as ts.TypeAliasDeclaration).type as ts.UnionTypeNode).types;
  return members.map((member) => ((member as ts.LiteralTypeNode).literal as ts.StringLiteral).text);
}

test("the table has every code once, in the order of the source, and no other", () => {
  expect(codes().length).toBeGreaterThan(10);
  expect(ROWS.map(({ code }) => code)).toEqual(codes());
});

test("each code's class is the one that has it", () => {
  const made = Object.entries(errors).flatMap(([name, Class]) => {
    if (typeof Class !== "function" || !(Class.prototype instanceof errors.OcellusError)) return [];
    const fault = { where: "here", expected: "a", got: "b", remedy: "c" };
    const error = Reflect.construct(Class, name === "AbortedError" ? ["here"] : [fault]) as errors.OcellusError;
    return [[error.code, name]];
  });
  expect(ROWS.map(({ code, name }) => [code, name]).sort()).toEqual(made.sort());
});
