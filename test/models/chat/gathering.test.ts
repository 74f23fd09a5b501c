import { expect, test } from "vitest";
import { Gathering, type GatheringOptions } from "../../../src/models/chat/gathering.js";
import { useDevice } from "../../support/device.js";

const held = useDevice();

/** A gathering, and the requests of each work that it began. */
function gathering(options: GatheringOptions): { requests: Gathering<number>; begun: number[][] } {
  const begun: number[][] = [];
  return { requests: new Gathering<number>(held.device, (taken) => begun.push([...taken]), options), begun };
}

test("work begins with the last request that is expected, and at most as many are done together", () => {
  const { requests, begun } = gathering({ expected: () => 5, most: 3 });
  for (const request of [1, 2, 3, 4]) requests.add(request);
  expect(begun).toEqual([[1, 2, 3]]);
  requests.add(5);
  requests.add(6);
  expect(begun).toEqual([
    [1, 2, 3],
    [4, 5, 6],
  ]);
});

test("those that are there begin without others that stay away, but not before the device is idle", async () => {
  const { requests, begun } = gathering({ expected: () => 2 });
  requests.add(1);
  expect(begun).toEqual([]);
  while (begun.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  expect(begun).toEqual([[1]]);
});

test("a request that is dropped is not done, and fewer are expected", () => {
  let expected = 3;
  const { requests, begun } = gathering({ expected: () => expected });
  requests.add(1);
  requests.add(2);
  requests.drop((request) => request === 1);
  expected = 1;
  requests.check();
  expect(begun).toEqual([[2]]);
});

test("nothing begins while work of before is not recorded", () => {
  let isBusy = true;
  const { requests, begun } = gathering({ expected: () => 1, isBusy: () => isBusy });
  requests.add(1);
  expect(begun).toEqual([]);
  isBusy = false;
  requests.check();
  expect(begun).toEqual([[1]]);
});
