import { relative } from "node:path";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { ROOT } from "./cli.js";
import { random } from "./random.js";

/** Files that take a minute on two cores. Begun last, each would run beside an idle core. */
const LONG = [
  "test/docs/code-blocks.node.test.ts",
  "test/models/tiny.test.ts",
  "test/models/dialects.node.test.ts",
  "test/worker/worker-training.browser.test.ts",
  "test/cli/input-file.node.test.ts",
  "test/demo/talk.node.test.ts",
  "test/demo/conversations.node.test.ts",
  "test/demo/models.node.test.ts",
  "test/demo/states.node.test.ts",
  "test/cli/cli.node.test.ts",
  "test/models/goldens.test.ts",
  "test/worker/worker-model.test.ts",
  "test/models/tiny-clips.test.ts",
  "test/faults/gpu.node.test.ts",
  "test/models/reload.node.test.ts",
  "test/models/training.test.ts",
  "test/models/streaming.test.ts",
  "test/models/goldens-plain.node.test.ts",
  "test/models/limits.node.test.ts",
  "test/models/chat/lifetime.test.ts",
  "test/models/chat/session.test.ts",
  "test/server/tiny.node.test.ts",
];

/** Runs long files first, and the others in an order that the seed shuffles, so that none comes to depend on another. */
export class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const next = random(this.ctx.config.sequence.seed);
    const placed = files.map((file) => {
      const long = LONG.indexOf(relative(ROOT, file.moduleId));
      return { file, place: long >= 0 ? long : LONG.length + next() };
    });
    return placed.sort((a, b) => a.place - b.place).map(({ file }) => file);
  }
}
