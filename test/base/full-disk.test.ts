import { expect, test } from "vitest";
import { fullDisk } from "../../src/base/full-disk.js";

test("a full disk is told from other errors by its code", () => {
  const coded = (code: string) => Object.assign(new Error("write"), { code });
  expect(fullDisk(coded("ENOSPC"))).toBe("a full disk");
  expect(fullDisk(coded("EDQUOT"))).toBe("no quota left");
  for (const other of [coded("EACCES"), new Error("ENOSPC"), undefined, null, "ENOSPC"]) {
    expect(fullDisk(other)).toBeUndefined();
  }
});
