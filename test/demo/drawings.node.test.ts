import type { Page } from "playwright";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Demo, openDemo, ready, violations } from "../support/demo.js";

// Fresh drawings: made on the spot, asked about, and judged.

let demo: Demo;
let page: Page;
beforeAll(async () => {
  ({ demo, page } = await openDemo());
});
afterAll(async () => {
  expect(demo?.faults).toEqual([]);
  await demo?.close();
});

test("a drawing is made, asked about and judged, and the page counts", async () => {
  await page.getByRole("button", { name: "Draw something new" }).click();
  const kinds = new Set<string>();
  let right = 0;
  const count = 8;
  for (let i = 1; i <= count; i++) {
    const turn = page.locator(".turn[data-phase=done]");
    const said = i === 1 ? /^The last drawing: / : new RegExp(` of the last ${i} drawings answered right\\.$`);
    const outcomes = turn.locator("[data-outcomes]").filter({ hasText: said });
    await outcomes.waitFor();
    const verdict = turn.locator("[data-verdict]");
    const isRight = (await verdict.getAttribute("data-verdict")) === "right";
    if (isRight) right++;
    else expect(await verdict.textContent()).toMatch(/Not right\. What was drawn: .+\./);
    expect(await outcomes.textContent()).toContain(i === 1 ? `drawing: ${isRight ? "" : "not "}right.` : `${right} of`);
    const names = await turn.locator(".thumbnail-button").evaluateAll((all) => all.map((one) => one.ariaLabel));
    expect(names.length).toBeGreaterThan(0);
    kinds.add(names[0]!);
    if (i === 1) {
      await demo.shoot(page, "fresh-drawing");
      expect(await violations(page)).toEqual([]);
    }
    if (i < count) await turn.getByRole("button", { name: "Another drawing" }).click();
  }
  expect(kinds.size).toBeGreaterThan(1);
});

test("the count outlives a reload, and the answer is still judged", async () => {
  const before = await page.locator("[data-outcomes]").textContent();
  await page.waitForTimeout(500);
  await page.reload();
  await ready(page);
  await page.locator("[data-verdict]").waitFor();
  expect(await page.locator("[data-outcomes]").textContent()).toBe(before);
});
