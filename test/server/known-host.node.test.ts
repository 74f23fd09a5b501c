import { expect, test } from "vitest";
import { isKnownHost } from "../../src/server/known-host.js";

test("addresses and localhost are known, and the names that are listed", () => {
  const hosts = ["model.example"];
  for (const host of ["127.0.0.1:80", "[::1]", "localhost", "a.localhost:1", "model.example.", "MODEL.example:8080"]) {
    expect(isKnownHost(host, hosts), host).toBe(true);
  }
  for (const host of ["other.example", "model.example.other", "127.0.0.1.other.example", ""]) {
    expect(isKnownHost(host, hosts), host).toBe(false);
  }
  expect(isKnownHost("other.example", undefined)).toBe(true);
});
