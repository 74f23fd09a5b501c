import { expect, test } from "vitest";
import { SourceError } from "../../src/base/errors.js";
import { answered, BatchLines, finishedId } from "../../src/server/batch-lines.js";

const line = (more: object = {}) =>
  JSON.stringify({ custom_id: "a", method: "POST", url: "/v1/chat/completions", body: { messages: [] }, ...more });

test("a line is read to its request", () => {
  const lines = new BatchLines(new Set());
  expect(lines.read(line(), 1)).toEqual({ request: JSON.parse(line()) });
  expect(lines.read(line({ custom_id: "b", url: "/v1/responses", extra: 1 }), 2)).toEqual({
    request: { custom_id: "b", method: "POST", url: "/v1/responses", body: { messages: [] } },
  });
});

test.each([
  ["{", "invalid_json_line", null],
  ["3", "invalid_request", null],
  [line({ custom_id: "" }), "missing_custom_id", null],
  [line({ method: "GET" }), "invalid_method", "a"],
  [line({ url: "/v1/embeddings" }), "invalid_url", "a"],
  [new SourceError({ where: "x", expected: "UTF-8", got: "ff", remedy: "convert it" }), "invalid_json_line", null],
])("%s is an invalid line", (text, code, custom_id) => {
  const read = new BatchLines(new Set()).read(text, 7);
  expect(read).toMatchObject({ invalid: { custom_id, response: null, error: { code } } });
  expect(JSON.stringify(read)).toContain("line 7: ");
});

test("a custom_id is accepted once, and a finished one is skipped once", () => {
  const lines = new BatchLines(new Set(["done"]));
  expect(lines.read(line({ custom_id: "done" }), 1)).toBeUndefined();
  expect(lines.read(line({ custom_id: "done" }), 2)).toMatchObject({
    invalid: { error: { code: "duplicate_custom_id" } },
  });
  expect(lines.read(line(), 3)).toHaveProperty("request");
  expect(lines.read(line(), 4)).toMatchObject({ invalid: { error: { code: "duplicate_custom_id" } } });
});

test("a request is finished unless the server was at fault", () => {
  expect(finishedId(JSON.stringify(answered("a", 200, {})))).toBe("a");
  expect(finishedId(JSON.stringify(answered("a", 400, {})))).toBe("a");
  expect(finishedId(JSON.stringify(answered("a", 500, {})))).toBeUndefined();
  expect(finishedId('{"custom_id":"a","resp')).toBeUndefined();
});
