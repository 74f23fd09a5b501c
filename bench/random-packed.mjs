// A packed checkpoint in 4 bits with random weights, written as a stream: what a conversion would write, without the weights to convert.
import { randomFillSync } from "node:crypto";
import { mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LayerHash } from "../dist/io/packed.js";
import { planPacked } from "../dist/models/packed-files.js";

/** Bytes of a group of a panel in 4 bits: 32 columns of 16 bytes, and a scale and a minimum in f16 for each. */
const [GROUP_BYTES, NIBBLE_BYTES] = [640, 512];
/** Weights are cut from a table of this many groups, at random groups: random enough, and as fast as the disk. */
const TABLE_GROUPS = 16384;
const PIECE_BYTES = GROUP_BYTES * 4096;
/** 0.00464 and −7.5 times as much, in f16. */
const [SCALE_BITS, MINIMUM_BITS] = [0x1cc0, 0xa874];

/** Writes the packed form of a checkpoint of which only the headers are used into a folder. Returns the bytes. */
export async function writeRandomPacked(from, folder) {
  await mkdir(folder, { recursive: true });
  const plan = await planPacked(from, { dtype: "q4" });
  try {
    let bytes = 0;
    const table = groups();
    for (const file of plan.files) {
      const handle = await open(join(folder, file.name), "w");
      const hashes = [];
      for (const { name, offsetBytes, lengthBytes, tensors } of file.layers) {
        const hash = new LayerHash();
        let at = offsetBytes;
        for (const tensor of tensors) {
          for (const piece of pieces(tensor, table)) {
            await handle.write(piece, 0, piece.length, at);
            await hash.add(piece);
            at += piece.length;
          }
        }
        if (at !== offsetBytes + lengthBytes) throw new Error(`${name}: ${at - offsetBytes} bytes of ${lengthBytes}`);
        hashes.push(await hash.hex());
      }
      await handle.write(file.header(hashes), 0, undefined, 0);
      await handle.close();
      bytes += file.sizeBytes;
    }
    for await (const { name, chunks } of plan.texts()) {
      const parts = [];
      for await (const chunk of chunks) parts.push(chunk);
      await writeFile(join(folder, name), Buffer.concat(parts));
    }
    return bytes;
  } finally {
    await plan.close();
  }
}

/** The bytes of a tensor in pieces: whole groups of a matrix, or values in f32, around 1 if they are a norm's weights. */
function* pieces({ name, type, inner, parts }, table) {
  const columns = parts.reduce((sum, { shape }) => sum + shape[0], 0);
  if (inner === undefined) {
    const count = parts.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    const isScale = /norm\d?\.weight$/.test(name);
    const values = Float32Array.from({ length: count }, () => (isScale ? 1 : 0) + 0.04 * (Math.random() - 0.5));
    yield new Uint8Array(values.buffer);
    return;
  }
  if (type !== "q4") {
    // The patch embedding, in bf16: the upper halves of numbers in f32.
    const count = Math.ceil(columns / 32) * Math.ceil(inner / 32) * 1024;
    const values = Float32Array.from({ length: count }, () => 0.07 * (Math.random() - 0.5));
    yield new Uint8Array(Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16).buffer);
    return;
  }
  for (let left = Math.ceil(columns / 32) * Math.ceil(inner / 32) * GROUP_BYTES; left > 0; ) {
    const first = Math.floor(Math.random() * TABLE_GROUPS) * GROUP_BYTES;
    const piece = table.subarray(first, first + Math.min(left, PIECE_BYTES));
    yield piece;
    left -= piece.length;
  }
}

/** Groups with uniform weights: 16 levels around zero, of standard deviation 0.02. */
function groups() {
  const bytes = randomFillSync(new Uint8Array(TABLE_GROUPS * GROUP_BYTES));
  const view = new DataView(bytes.buffer);
  for (let group = 0; group < TABLE_GROUPS; group++) {
    for (let at = NIBBLE_BYTES; at < GROUP_BYTES; at += 4) {
      view.setUint16(group * GROUP_BYTES + at, SCALE_BITS, true);
      view.setUint16(group * GROUP_BYTES + at + 2, MINIMUM_BITS, true);
    }
  }
  return bytes;
}
