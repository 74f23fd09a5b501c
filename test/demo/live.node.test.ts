import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Demo, ready } from "../support/demo.js";

// Captions of a live camera: a fake one, whose scene changes after some seconds. OCELLUS_LIVE_SECONDS=60 watches longer.

const WATCHED_MS = 1000 * Number(process.env.OCELLUS_LIVE_SECONDS ?? 8);
/** Until both scenes were seen: a busy machine may take long for a caption. */
const MOST_WATCHED_MS = Math.max(60_000, WATCHED_MS);
const SIDE = 128;
const SECONDS_A_SCENE = 3;
const FRAMES_A_SECOND = 5;

/** A camera as Chromium's fake device plays it (Y4M, 4:2:0), without end: an orange square, then a blue one, on white. */
function camera(): Buffer {
  const frames: Buffer[] = [];
  const levels = { orange: [158, 43, 170], blue: [87, 193, 105], white: [235, 128, 128] } as const;
  for (const color of ["orange", "blue"] as const) {
    const planes = [0, 1, 2].map((plane) => {
      const side = plane === 0 ? SIDE : SIDE / 2;
      const bytes = Buffer.alloc(side * side, levels.white[plane]);
      for (let y = Math.floor(side / 8); y < side * 0.4; y++) {
        bytes.fill(levels[color][plane]!, y * side + Math.floor(side / 8), y * side + Math.floor(side * 0.4));
      }
      return bytes;
    });
    const frame = Buffer.concat([Buffer.from("FRAME\n"), ...planes]);
    for (let i = 0; i < SECONDS_A_SCENE * FRAMES_A_SECOND; i++) frames.push(frame);
  }
  const header = Buffer.from(`YUV4MPEG2 W${SIDE} H${SIDE} F${FRAMES_A_SECOND}:1 Ip A1:1 C420jpeg\n`);
  return Buffer.concat([header, ...frames]);
}

const CAMERA = join(tmpdir(), `ocellus-camera-${process.pid}.y4m`);

let demo: Demo;
let page: Page;
beforeAll(async () => {
  writeFileSync(CAMERA, camera());
  demo = await Demo.open([
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    `--use-file-for-fake-video-capture=${CAMERA}`,
    "--enable-precise-memory-info",
    "--js-flags=--expose-gc",
  ]);
  page = await demo.visit({ permissions: ["camera"] });
  await ready(page);
});
afterAll(async () => {
  rmSync(CAMERA, { force: true });
  expect(demo?.faults).toEqual([]);
  await demo?.close();
});

const heapBytes = () =>
  page.evaluate(() => {
    (globalThis as unknown as { gc(): void }).gc();
    return (performance as unknown as { memory: { usedJSHeapSize: number } }).memory.usedJSHeapSize;
  });

test("the caption follows the scene, pauses, and takes no more memory as it goes on", async () => {
  await page.getByRole("button", { name: "Camera", exact: true }).click();
  const dialog = page.getByRole("dialog", { name: "Camera" });
  await dialog.getByRole("button", { name: "Start captions" }).click();
  const caption = dialog.locator(".caption");
  await caption.locator(".seconds").waitFor();
  const before = await heapBytes();
  const seen = new Set<string>();
  // The embedded model takes the orange for yellow, and its square for a bar; the blue square it knows.
  const scenes = () => [...new Set([...seen].map((text) => text.includes("blue")))].sort();
  const begun = performance.now();
  const watched = () => performance.now() - begun;
  while (watched() < WATCHED_MS || (scenes().length < 2 && watched() < MOST_WATCHED_MS)) {
    seen.add((await caption.evaluate((element) => element.firstChild?.textContent)) ?? "");
    await page.waitForTimeout(200);
  }
  expect(scenes(), [...seen].join(" ")).toEqual([false, true]);
  expect(await heapBytes()).toBeLessThan(before + 4e6);
  await demo.shoot(page, "live");
  await dialog.getByRole("button", { name: "Pause captions" }).click();
  await dialog.getByRole("button", { name: "Start captions" }).waitFor();
});

test("a clip is recorded, and asked about", async () => {
  const dialog = page.getByRole("dialog", { name: "Camera" });
  await dialog.getByRole("button", { name: "Record a clip" }).click();
  await page.waitForTimeout(1500);
  await dialog.getByRole("button", { name: "Stop and add the clip" }).click();
  await page.locator(".attachment[data-kind=video][data-measured=true]").waitFor();
  await page.getByLabel("Question", { exact: true }).fill("What happens in the video?");
  await page.getByLabel("Question", { exact: true }).press("Enter");
  await page.locator(".turn[data-phase=done]").waitFor();
  expect(await page.locator(".answer .markdown").textContent()).toMatch(/\w/);
});
