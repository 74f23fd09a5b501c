import { expect, test } from "vitest";
import { requestId } from "../../src/server/request-id.js";

test("an id of a client is used if it is short and plain", () => {
  expect(requestId("trace-1:a/b+c=d@e_f.g")).toBe("trace-1:a/b+c=d@e_f.g");
  for (const given of [undefined, "", "a b", "a\nb", "é", '"', "x".repeat(129)]) {
    expect(requestId(given)).toMatch(/^req_[\da-f]{32}$/);
  }
  expect(requestId(undefined)).not.toBe(requestId(undefined));
});
