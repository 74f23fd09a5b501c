import { expect, test } from "vitest";
import { ApiKeys, readKeys, unnamed } from "../../src/server/api-keys.js";

test("keys have names; those without are known by their hash", () => {
  const keys = readKeys("alice sk-1 # the first\n\n# none here\r\nsk-2#x, bob\tsk=3", "keys.txt");
  expect(keys).toEqual([
    { name: "alice", key: "sk-1" },
    { name: expect.stringMatching(/^[\da-f]{8}$/), key: "sk-2#x" },
    { name: "bob", key: "sk=3" },
  ]);
  const known = new ApiKeys(keys);
  const name = (header: string | undefined): string | undefined => known.nameOf(header);
  expect([name("Bearer sk-1"), name("bearer sk=3")]).toEqual(["alice", "bob"]);
  expect([name("Bearer sk-4"), name("Bearer "), name("sk-1"), name(undefined)]).toEqual(Array(4).fill(undefined));
  expect([known.needed, new ApiKeys([]).needed]).toEqual([true, false]);
});

test("errors name the line, and quote no key", () => {
  const failing = (text: string) => expect(() => readKeys(text, "keys.txt"));
  failing("alice sk-1\nalice sk-2").toThrow("keys.txt, key 2: expected a name of its own, got alice twice");
  failing("sk-1 sk-2 sk-3").toThrow("keys.txt, key 1: expected NAME KEY, or KEY, got 3 words");
  const twice = unnamed("sk-secret");
  failing("sk-secret\nsk-secret").toThrow(`${twice.name} twice`);
});
