import { beforeAll, expect, it } from "vitest";
import { FORMATS, isTextFormat, rangeOf } from "../../src/structure/schema-formats.js";
import { accepts, tinyVocabulary, type Vocabulary } from "../support/constrained.js";

let vocabulary: Vocabulary;
beforeAll(async () => {
  vocabulary = await tinyVocabulary();
});

it.each<[string, readonly string[], readonly string[]]>([
  ["date", ["2024-02-29", "2000-02-29", "1999-12-31"], ["2023-02-29", "1900-02-29", "2024-13-01", "2024-04-31"]],
  ["time", ["23:59:59Z", "00:00:00.25-11:30"], ["24:00:00Z", "12:00:00"]],
  ["date-time", ["2024-02-29T12:00:00Z"], ["2024-02-30T12:00:00Z", "2024-02-29 12:00:00Z"]],
  ["email", ["a.b+c@d-e.org"], ["a@b", "@b.c", "a..b@c.de"]],
  ["hostname", ["a", "a-b.example"], ["-a", "a..b"]],
  ["ipv4", ["0.0.0.0", "255.249.99.1"], ["256.0.0.1", "1.2.3", "01.2.3.4"]],
  ["uri", ["https://a.example:80/b/%20?c=d/e#f", "git+ssh://x"], ["https:", "http://a b", "/a", "http://a/%2"]],
  ["uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567e89b12d3a456426614174000"]],
])("format %s", (format, right, wrong) => {
  const schema = { type: "string", format };
  for (const text of right) expect(accepts(vocabulary, { schema }, JSON.stringify(text)), text).toBe(true);
  for (const text of wrong) expect(accepts(vocabulary, { schema }, JSON.stringify(text)), text).toBe(false);
});

it.each<[string, readonly string[], readonly string[]]>([
  ["duration", ["P3W", "P1Y2M3D", "PT1H30M", "P1DT1S"], ["P", "P1DT", "P1W2D", "PT1H1S", "1D"]],
  ["ipv6", ["::", "::1", "1:2:3:4:5:6:7:8", "fe80::1:2"], [":", "1:2:3", "1::2::3", "1:2:3:4:5:6:7:8:9", "g::"]],
  ["json-pointer", ["", "/a~0b/~1", "/0"], ["a", "/~2", "/~"]],
  ["uuid4", ["123e4567-e89b-42d3-a456-426614174000"], ["123e4567-e89b-12d3-a456-426614174000"]],
  ["base64", ["", "QQ==", "QUI=", "QUJD"], ["Q", "QQ=", "QQ==QQ==", "Q_=="]],
  ["base64url", ["", "QQ", "QUI", "Q_-D"], ["Q", "QQ==", "QU+D"]],
])("format %s as an expression", (format, right, wrong) => {
  const expression = new RegExp(FORMATS[format]!, "u");
  expect(right.filter((text) => !expression.test(text))).toEqual([]);
  expect(wrong.filter((text) => expression.test(text))).toEqual([]);
});

it("other formats say nothing of texts, and numbers have those of OpenAPI", () => {
  expect(["date", "color", "toString", 3].map(isTextFormat)).toEqual([true, false, false, false]);
  expect([rangeOf("int8"), rangeOf("uint64"), rangeOf("double"), rangeOf("toString")]).toEqual([
    [-128, 127],
    [0, Number.POSITIVE_INFINITY],
    [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
    [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
  ]);
});
