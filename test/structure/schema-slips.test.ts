import { expect, it } from "vitest";
import { likelySlip } from "../../src/structure/schema-slips.js";

const KEYWORDS = ["type", "items", "minLength", "properties", "allOf", "not", "$ref", "required", "pattern", "minimum"];

it.each([
  ["minLenght", "minLength"],
  ["min_length", "minLength"],
  ["itmes", "items"],
  ["item", "items"],
  ["allof", "allOf"],
  ["ref", "$ref"],
  ["requried", "required"],
  ["property", "properties"],
  ["regex", "pattern"],
])("%s was meant to be %s", (name, keyword) => {
  expect(likelySlip(name, KEYWORDS)).toBe(keyword);
});

it.each(["x-type", "ui:items", "note", "kind", "href", "order", "tsType", "errorMessage", "i18n", "a".repeat(1e6)])(
  "%s is somebody's own",
  (name) => {
    expect(likelySlip(name, KEYWORDS)).toBeUndefined();
  },
);

it("no keyword is taken for another", () => {
  for (const keyword of KEYWORDS) expect(likelySlip(keyword, [keyword])).toBeUndefined();
});
