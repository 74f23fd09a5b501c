import { expect, test } from "vitest";
import { bytesSource } from "../../../src/io/bytes/source.js";
import { PackedFileLayout } from "../../../src/io/checkpoint/packed-header.js";
import { ALIGNMENT_BYTES, packedLayers } from "../../../src/io/checkpoint/packed-tensors.js";
import { openSafetensors } from "../../../src/io/checkpoint/safetensors.js";

const SIZES = [1, 1024, 1500, 3];
const LAYERS = SIZES.map((size, i) => ({
  name: `layer ${i}`,
  tensors: [{ name: `t${i}`, type: "f32" as const, parts: [{ name: `part ${i}`, shape: [size] }] }],
}));
const HASHES = SIZES.map((_, i) => String(i).repeat(64));

test("a file with the header is valid, and its layers are where the layout says", async () => {
  const layout = new PackedFileLayout(LAYERS, 7);
  const header = layout.header(HASHES);
  expect(header.length).toBe(layout.layers[0]!.offsetBytes);
  const bytes = new Uint8Array(layout.sizeBytes);
  bytes.set(header);
  const file = await openSafetensors(bytesSource(bytes, "x"));
  expect([...file.entries.keys()]).toEqual(layout.names);
  const layers = packedLayers(file)!;
  expect(layers.map(({ offsetBytes, lengthBytes }) => [offsetBytes, lengthBytes])).toEqual(
    layout.layers.map(({ offsetBytes, lengthBytes }) => [offsetBytes, lengthBytes]),
  );
  expect(layers.map(({ sha256 }) => sha256)).toEqual(HASHES);
  expect(layers.map(({ offsetBytes }) => offsetBytes % ALIGNMENT_BYTES)).toEqual([0, 0, 0, 0]);
  // The second layer ends at a multiple; the others have padding after them, with names that no other file has.
  expect(layout.names.filter((name) => name.startsWith("ocellus.padding"))).toEqual([
    "ocellus.padding.8",
    "ocellus.padding.10",
  ]);
});
