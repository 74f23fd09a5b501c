import { expect, test } from "vitest";
import { parseBody } from "../../src/server/json-body.js";
import type { Refusal } from "../../src/server/refusal.js";

const parse = (text: string): unknown => parseBody(Buffer.from(text));

function refusal(text: string): { status: number; code: string | null } {
  try {
    parse(text);
  } catch (error) {
    const { status, body } = (error as Refusal).reply;
    return { status, code: body.error.code };
  }
  throw new Error("parsed");
}

test("values are those of JSON.parse", () => {
  for (const text of ['{"a":[1,"b,[{\\"",{"c\\\\":null}]}', '"é\\u0041"', " [ ] ", "1", '"\\\\\\\\"']) {
    expect(parse(text)).toEqual(JSON.parse(text));
  }
});

test.each(["", "{", '{"a', '"\\"', '{"a":1}x', "\u0000"])("%j is no JSON", (text) => {
  expect(refusal(text)).toEqual({ status: 400, code: "invalid_json" });
});

test("a million values are refused before they are parsed, in strings they are none", () => {
  const most = 1_000_000;
  expect(refusal(`[${"[],".repeat(most / 2)}0`)).toEqual({ status: 400, code: "limit_exceeded" });
  expect(refusal(`{"a":[${"0,".repeat(most)}`)).toEqual({ status: 400, code: "limit_exceeded" });
  // Not after a string whose end looks like none.
  expect(refusal(`["\\\\",${"0,".repeat(most)}`)).toEqual({ status: 400, code: "limit_exceeded" });
  const text = `${"\\\\,".repeat(most)}\\"${",[{".repeat(most / 2)}`;
  expect((parse(`["${text}"]`) as string[])[0]).toHaveLength(2 * most + 1 + 1.5 * most);
});
