import { relative } from "node:path";
import type { Reporter, TestModule } from "vitest/node";
import { ROOT } from "./cli.js";

const ROWS = 12;

/** Prints where the suite's time went: seconds by project and folder, the longest first. */
export class FolderTimes implements Reporter {
  readonly #seconds = new Map<string, number>();

  onTestModuleEnd(module: TestModule): void {
    const [, ...folders] = relative(ROOT, module.moduleId).split("/");
    const place = `${module.project.name}  test/${folders.slice(0, -1).join("/")}`;
    this.#seconds.set(place, (this.#seconds.get(place) ?? 0) + module.diagnostic().duration / 1000);
  }

  onTestRunEnd(): void {
    const rows = [...this.#seconds].sort((a, b) => b[1] - a[1]);
    if (rows.length < 2) return;
    const all = rows.reduce((sum, [, seconds]) => sum + seconds, 0);
    console.log(`\nSeconds by project and folder (${all.toFixed(0)} in all, files at once counted apart):`);
    for (const [place, seconds] of rows.slice(0, ROWS)) console.log(`${seconds.toFixed(0).padStart(6)}  ${place}`);
  }
}
