import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ALLOWED_ERROR } from "../../src/bench/run.js";
import { Demo, violations } from "../support/demo.js";

// The page that measures kernels: a few small workloads, as a visitor runs them.

let demo: Demo;
beforeAll(async () => {
  demo = await Demo.open();
});
afterAll(() => demo?.close());

test("workloads are verified, timed, drawn and given as JSON", async () => {
  const page = await demo.visit({ viewport: { width: 1000, height: 900 } }, "bench.html");
  await page.getByText("software: it runs on the CPU").waitFor();
  expect(await page.locator(".facts").textContent()).toMatch(/swiftshader/i);
  await page.getByRole("button", { name: "None" }).click();
  for (const name of ["gather", "argmax"])
    await page
      .locator(".workloads")
      .getByLabel(new RegExp(`^${name} `))
      .check();
  await page.getByLabel("q4", { exact: true }).check();
  await page.getByLabel("Seconds for each").fill("0.1");
  await page.getByRole("button", { name: "Run 3" }).click();
  await page.getByRole("button", { name: "Copy JSON lines" }).waitFor();
  const rows = page.locator("tbody tr");
  expect(await rows.locator("th").allTextContents()).toEqual(["gather", "gather", "argmax"]);
  expect(await rows.locator("td:nth-of-type(2)").allTextContents()).toEqual(["f32", "q4", "f32"]);
  for (const row of await rows.all()) {
    expect(Number(await row.getAttribute("data-error"))).toBeLessThanOrEqual(ALLOWED_ERROR);
    expect(Number(await row.locator("td:nth-of-type(3)").textContent())).toBeGreaterThan(0);
  }
  // They move bytes and compute nothing: a bar each.
  expect(await page.locator(".chart .bar.memory").count()).toBe(3);
  expect(await page.locator(".chart .bar.arithmetic").count()).toBe(0);
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.getByRole("button", { name: "Copy JSON lines" }).click();
  const text = await page.evaluate(() => navigator.clipboard.readText());
  const lines = text.split("\n").map((line) => JSON.parse(line));
  expect(lines.map(({ name }) => name)).toEqual(["gather", "gather", "argmax", "summary"]);
  for (const line of lines) {
    expect(line).toMatchObject({
      adapter: expect.stringMatching(/swiftshader/i),
      versions: { ocellus: expect.any(String) },
    });
  }
  expect(lines[0].medianMs.toFixed(lines[0].medianMs < 1 ? 4 : 2)).toBe(
    await rows.first().locator("td:nth-of-type(3)").textContent(),
  );
  const [saved] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download report" }).click(),
  ]);
  expect(saved.suggestedFilename()).toBe("ocellus-bench.html");
  const report = await readFile(await saved.path(), "utf8");
  for (const text of ["Measurements", "gather", lines[0].adapter, "HeadlessChrome"]) expect(report).toContain(text);
  expect(report).not.toContain("Not complete");
  // Compared with a report that took twice as long.
  await page.getByText("Compare with another report").click();
  const other = page.getByLabel("JSON lines of another report");
  await other.fill("nothing");
  await page.getByText("This is no report").waitFor();
  await other.fill(lines.map((line) => JSON.stringify({ ...line, medianMs: 2 * line.medianMs })).join("\n"));
  await expect.poll(() => rows.locator("td:last-child").allTextContents()).toEqual(["2.00×", "2.00×", "2.00×"]);
  await other.fill("");
  expect(await violations(page)).toEqual([]);

  await demo.shoot(page, "bench");
  await page.setViewportSize({ width: 360, height: 740 });
  await page.emulateMedia({ colorScheme: "dark" });
  await demo.shoot(page, "bench-phone");
  // The chart scrolls by itself.
  expect(await page.locator(".chart").evaluate((chart) => chart.clientWidth)).toBeGreaterThan(500);
  expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
  expect(await violations(page)).toEqual([]);
  await page.getByRole("button", { name: "All kernels" }).click();
  await page.getByRole("button", { name: /^Run/ }).click();
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByRole("button", { name: /^Run/ }).waitFor();
  await page.getByText(/^Stopped after \d+ of [1-9]\d* workloads\.$/).waitFor();
  expect(demo.faults).toEqual([]);
  expect(demo.foreign).toEqual([]);
});

test("an adapter that is lost is opened anew, and the run goes on", async () => {
  const page = await demo.visit({}, "bench.html");
  await page.getByRole("button", { name: "None" }).click();
  await page
    .locator(".workloads")
    .getByLabel(/^argmax /)
    .check();
  await page.getByLabel("Seconds for each").fill("0.1");
  for (const lost of [false, true]) {
    if (lost) {
      const cdp = await demo.browser.newBrowserCDPSession();
      await cdp.send("Browser.crashGpuProcess" as never);
    }
    await page.getByRole("button", { name: "Run 1" }).click();
    await page.getByText("Stop", { exact: true }).waitFor({ state: "detached" });
    expect(await page.locator("tbody th").allTextContents()).toEqual(["argmax"]);
    expect(await page.getByRole("alert").count()).toBe(0);
  }
  expect(demo.faults).toEqual([]);
});
