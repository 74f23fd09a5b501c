import { expect, test } from "vitest";
import { Log, type LogFormat } from "../../src/server/log.js";

const HOSTILE = 'a"b\nlevel=error \u001b[2J\u009b1m\u2028\u202e é';

function lineOf(format: LogFormat, fields: Record<string, string | number | undefined>): string {
  const lines: string[] = [];
  const log = new Log(
    format,
    (line) => lines.push(line),
    () => new Date(0),
  );
  log.event("warning", "request", fields);
  return lines.join("");
}

test("JSON: one object per line, without fields that are undefined", () => {
  const line = lineOf("json", { id: HOSTILE, status: 200, key: undefined });
  expect(JSON.parse(line)).toEqual({
    time: "1970-01-01T00:00:00.000Z",
    level: "warning",
    event: "request",
    id: HOSTILE,
    status: 200,
  });
});

test("text: names and values, quoted where they could be misread", () => {
  expect(lineOf("text", { route: "/v1/models", id: "a b" })).toBe(
    'time=1970-01-01T00:00:00.000Z level=warning event=request route=/v1/models id="a b"\n',
  );
});

test.each(["json", "text"] as const)("%s: a value begins no line and moves no cursor", (format) => {
  expect(lineOf(format, { id: HOSTILE })).toMatch(/^[ -~]*\n$/);
});

test("none: nothing", () => {
  expect(lineOf("none", { id: "a" })).toBe("");
});
