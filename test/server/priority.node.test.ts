import { expect, test } from "vitest";
import { priorityOf } from "../../src/server/priority.js";
import type { Refusal } from "../../src/server/refusal.js";

test("X-Priority is high, normal or low", () => {
  expect([undefined, "high", "Normal", "LOW"].map(priorityOf)).toEqual(["normal", "high", "normal", "low"]);
  try {
    priorityOf("urgent");
    expect.unreachable();
  } catch (error) {
    expect((error as Refusal).reply).toMatchObject({
      status: 400,
      body: { error: { code: "invalid_value", message: 'X-Priority: expected high, normal, low, got "urgent"' } },
    });
  }
});
