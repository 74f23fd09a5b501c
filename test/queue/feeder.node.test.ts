import { expect, test, vi } from "vitest";
import { Feeder } from "../../src/queue/feeder.js";

const tick = () => new Promise((resolve) => setTimeout(resolve));

test("members are added while there is room, and `changed` is called after each", async () => {
  const added: number[] = [];
  const changed = vi.fn();
  const feeder = new Feeder(
    [1, 2, 3],
    async (member) => {
      added.push(member);
    },
    changed,
  );
  let room = 2;
  const hasRoom = (): boolean => added.length < room;
  feeder.fill(hasRoom);
  await tick();
  expect(added).toEqual([1, 2]);
  expect(feeder.isOver).toBe(false);
  expect(changed.mock.calls.length).toBeGreaterThanOrEqual(2);
  room = 10;
  feeder.fill(hasRoom);
  await tick();
  expect(added).toEqual([1, 2, 3]);
  expect(feeder.isOver).toBe(true);
});

test("a source that waits does not keep what it gave before", async () => {
  const added: string[] = [];
  async function* source(): AsyncGenerator<string> {
    yield "first";
    await new Promise(() => {});
  }
  const feeder = new Feeder(
    source(),
    async (member) => {
      added.push(member);
    },
    () => {},
  );
  feeder.fill(() => true);
  await tick();
  expect(added).toEqual(["first"]);
  expect(feeder.isOver).toBe(false);
  feeder.end();
  expect(feeder.isOver).toBe(true);
});

test("errors of the source and of adding are thrown by isOver", async () => {
  function* broken(): Generator<number> {
    yield 1;
    throw new Error("torn");
  }
  const changed = vi.fn();
  const source = new Feeder(broken(), async () => {}, changed);
  source.fill(() => true);
  await tick();
  expect(() => source.isOver).toThrow("torn");
  expect(changed).toHaveBeenCalled();
  const refused = new Feeder(
    [1],
    async () => {
      throw new Error("refused");
    },
    () => {},
  );
  refused.fill(() => true);
  await tick();
  expect(() => refused.isOver).toThrow("refused");
});
