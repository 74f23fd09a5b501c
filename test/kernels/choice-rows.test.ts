import { expect, it } from "vitest";
import { ABSENT, oneChoice, PLAIN_CHOICE, rowHeader, runRows, severalChoices } from "../../src/kernels/choice-rows.js";
import { Kernel } from "../../src/runtime/kernel.js";
import { useDevice } from "../support/device.js";

const held = useDevice();

// Writes what a row is told: where it begins, a parameter of each type, and a place.
const header = rowHeader(["width"], ["topP", "upperKey", "firstCount"]);
const kernel = new Kernel(
  "tellRow",
  `
@group(0) @binding(0) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) group: vec3u) {
  let row = group.y;
  let at = 4u * row;
  y[at] = rowStart(row, params.width);
  y[at + 1u] = bitcast<u32>(topPOf(row));
  y[at + 2u] = upperKeyOf(row);
  y[at + 3u] = firstCountOf(row);
}`,
  {},
);
const bitsOf = (value: number) => new Uint32Array(Float32Array.of(value).buffer)[0]!;

it("passes the same numbers to one row as parameters and to several in a tensor, but places to several only", async () => {
  const { device } = held;
  const rows = [
    { ...PLAIN_CHOICE, topP: 0.3, upperKey: 2 ** 32 - 5, firstCount: 128 },
    { ...PLAIN_CHOICE, topP: 0.7, upperKey: 9, firstCount: ABSENT },
  ];
  const told = device.scope(() => {
    const y = device.empty([2, 4], "u32", "y");
    runRows(device, kernel, header, severalChoices(device, rows), { y }, { width: 10 }, 1);
    return y;
  });
  expect([...(await told.read("u32"))]).toEqual([0, bitsOf(0.3), 2 ** 32 - 5, 128, 10, bitsOf(0.7), 9, ABSENT]);
  runRows(device, kernel, header, oneChoice(rows[1]!), { y: told }, { width: 10 }, 1);
  expect([...(await told.read("u32"))].slice(0, 4)).toEqual([0, bitsOf(0.7), 9, 0]);
  told.dispose();
});
