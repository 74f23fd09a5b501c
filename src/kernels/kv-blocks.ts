import type { Device } from "../runtime/device.js";
import type { Tensor } from "../runtime/tensor.js";
import { splitsFor } from "./kv-splits.js";

/**
 * Rows of a block of keys and values, as in PagedAttention (arXiv 2309.06180). The groups of keys that a workgroup takes at once, 16 to 64,
 * divide it: all keys of a group lie in one block, whose place is read once.
 */
export const BLOCK_ROWS = 64;

/** Where the keys and values of sequences are in tensors of blocks, `[blocks · BLOCK_ROWS, …]`. */
export interface BlockTable {
  /**
   * u32. "one" sequence: the block of its rows 0 to 63, of 64 to 127, and so on. "several": {@link SEQUENCE_WORDS} words a sequence, then such
   * tables.
   */
  readonly tensor: Tensor;
  readonly of: "one" | "several";
}

/** One new row each of several sequences. */
export interface SequenceTables extends BlockTable {
  readonly of: "several";
  readonly count: number;
  /** The largest numbers of keys and of KV splits. */
  readonly keys: number;
  readonly splits: number;
  /** Whether no sequence has two of the rows. */
  readonly distinct: boolean;
}

/** Words per sequence: position of the new row, place of its block table, keys per KV split, and number of splits. */
const SEQUENCE_WORDS = 4;

const TABLE = "@group(0) @binding(6) var<storage, read> table: array<u32>;";
const ROWS = `${BLOCK_ROWS}u`;

/**
 * WGSL of the attention kernels. `keysOf`: keys of a sequence. `positionOf`: position of its first query. `rowsBefore`: what the index of a key,
 * and of those after it in its block, is lower than its row of k and v; modulo 2³².
 */
export const KEYS_OF = {
  /** Sequences of equal length, stacked by rows. */
  stacked: `
fn keysOf(sequence: u32) -> u32 { return params.keys; }
fn positionOf(sequence: u32) -> u32 { return params.firstPosition; }
fn rowsBefore(sequence: u32, key: u32) -> u32 { return sequence * params.keys; }`,
  one: `
${TABLE}  // [blocks]
fn keysOf(sequence: u32) -> u32 { return params.keys; }
fn positionOf(sequence: u32) -> u32 { return params.firstPosition; }
fn rowsBefore(sequence: u32, key: u32) -> u32 { return (table[key / ${ROWS}] - key / ${ROWS}) * ${ROWS}; }`,
  several: `
${TABLE}  // words of each sequence, then its blocks
fn keysOf(sequence: u32) -> u32 { return table[${SEQUENCE_WORDS}u * sequence] + 1u; }
fn positionOf(sequence: u32) -> u32 { return table[${SEQUENCE_WORDS}u * sequence]; }
fn rowsBefore(sequence: u32, key: u32) -> u32 {
  let block = key / ${ROWS};
  return (table[table[${SEQUENCE_WORDS}u * sequence + 1u] + block] - block) * ${ROWS};
}`,
};

/** WGSL of `attentionStep`: keys per KV split, and number of splits. */
export const SPLITS_OF = {
  one: `
fn splitKeysOf(sequence: u32) -> u32 { return params.splitKeys; }
fn splitsOf(sequence: u32) -> u32 { return params.splits; }`,
  several: `
fn splitKeysOf(sequence: u32) -> u32 { return table[${SEQUENCE_WORDS}u * sequence + 2u]; }
fn splitsOf(sequence: u32) -> u32 { return table[${SEQUENCE_WORDS}u * sequence + 3u]; }`,
};

/** WGSL of `attentionMerge`: number of KV splits. */
export const COUNT_OF = {
  one: "fn countOf(sequence: u32) -> u32 { return params.count; }",
  several: `
${TABLE}  // words of each sequence, then its blocks
fn countOf(sequence: u32) -> u32 { return table[${SEQUENCE_WORDS}u * sequence + 3u]; }`,
};

/** WGSL of `rope`: position of a row of x, and the row of keys and values that it is written to. */
export const WRITTEN_TO = {
  stacked: `
fn positionOf(row: u32) -> u32 { return params.first + row; }
fn writtenTo(row: u32) -> u32 { return params.first + row; }`,
  one: `
${TABLE}  // [blocks]
fn positionOf(row: u32) -> u32 { return params.first + row; }
fn writtenTo(row: u32) -> u32 {
  let position = params.first + row;
  return table[position / ${ROWS}] * ${ROWS} + position % ${ROWS};
}`,
  several: `
${TABLE}  // words of each sequence, then its blocks
fn positionOf(row: u32) -> u32 { return table[${SEQUENCE_WORDS}u * row]; }
fn writtenTo(row: u32) -> u32 {
  let position = positionOf(row);
  return table[table[${SEQUENCE_WORDS}u * row + 1u] + position / ${ROWS}] * ${ROWS} + position % ${ROWS};
}`,
};

/** Uploads the tables of sequences that get one new row each, at `position`; several rows may have the same blocks. */
export function sequenceTables(
  device: Device,
  sequences: readonly { readonly position: number; readonly blocks: readonly number[] }[],
): SequenceTables {
  const places = new Map<readonly number[], number>();
  const words: number[] = [];
  let place = SEQUENCE_WORDS * sequences.length;
  let [keys, splits] = [0, 0];
  for (const { position, blocks } of sequences) {
    if (!places.has(blocks)) {
      places.set(blocks, place);
      place += blocks.length;
    }
    const own = splitsFor(position + 1, device.facts);
    words.push(position, places.get(blocks)!, own.splitKeys, own.count);
    keys = Math.max(keys, position + 1);
    splits = Math.max(splits, own.count);
  }
  for (const blocks of places.keys()) for (const block of blocks) words.push(block);
  const tensor = device.upload(Uint32Array.from(words), [words.length], "block tables");
  const distinct = places.size === sequences.length;
  return { tensor, of: "several", count: sequences.length, keys, splits, distinct };
}
