import { expect } from "vitest";
import type { Report } from "./elsewhere.js";

/** Expects the reference's answers in a report, and prints the rest of it. */
export function expectSound(report: Report): void {
  const { goldens, onGPUKernels, ...others } = report;
  expect(report.error).toBeUndefined();
  const names = Object.keys(goldens);
  console.log(`${JSON.stringify(others)}; golden cases: ${names.length}`);
  expect(report.answer).toBe(report.referenceAnswer);
  expect(names.length).toBeGreaterThan(0);
  expect(Object.keys(onGPUKernels)).toEqual(names);
  for (const faults of [goldens, onGPUKernels]) {
    expect(Object.entries(faults).filter(([, lines]) => lines.length > 0)).toEqual([]);
  }
}
