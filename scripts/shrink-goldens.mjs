// Writes the copy of a golden folder that the tests use, small enough for the repository.
//
//   node scripts/shrink-goldens.mjs GOLDENS [TARGET = test/data/goldens] [ROWS = 32]
//
// Everything except the taps is copied unchanged. Of every tap with more than 2 x ROWS rows, ROWS rows are kept and their row
// numbers are written to `<tap>.rows` (i32), also where the tap was stored in full; shorter taps, `logits` and `steps.logits`
// stay whole. Kept are the first and the last row, the rows around each visual span, newline rows of `packed`, and rows
// spread evenly over the rest; taps whose source lists the same rows keep the same ones, so that they can be compared.
// The statistics in the case files refer to the complete taps.
import { cp, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

const [source, target = "test/data/goldens", rowsArgument = "32"] = process.argv.slice(2);
const ROWS = Number(rowsArgument);
if (!source || !(ROWS >= 8)) {
  console.error("usage: node scripts/shrink-goldens.mjs GOLDENS [TARGET] [ROWS >= 8]");
  process.exit(2);
}

/** Newline rows of `packed` to keep: they are all equal, a few show that they stand where they should. */
const NEWLINES = 4;
/** Never sampled: few rows, every one compared. */
const WHOLE = new Set(["logits", "steps.logits"]);

await cp(source, target, { recursive: true, filter: (path) => !/cases[\\/][^\\/]*\.safetensors$/.test(path) });
const { models } = JSON.parse(await readFile(join(source, "index.json"), "utf8"));
for (const [model, cases] of Object.entries(models)) {
  await mkdir(join(target, model, "cases"), { recursive: true });
  for (const name of cases) {
    const stem = join(model, "cases", name);
    const facts = JSON.parse(await readFile(join(source, `${stem}.json`), "utf8"));
    const bytes = writeSafetensors(shrink(readSafetensors(await readFile(join(source, `${stem}.safetensors`))), facts));
    await writeFile(join(target, `${stem}.safetensors`), bytes);
    console.log(`${stem}: ${bytes.length} bytes`);
  }
  const stray = (await readdir(join(source, model, "cases"))).filter(
    (file) => !cases.includes(file.replace(/\.\w+$/, "")),
  );
  if (stray.length > 0)
    throw new Error(`${model}/cases holds files that index.json does not list: ${stray.join(", ")}`);
}

/** Samples every long tap of one case. */
function shrink(tensors, facts) {
  const out = new Map();
  for (const [name, tap] of tensors) {
    if (name.endsWith(".rows")) continue;
    const rows = tensors.get(`${name}.rows`);
    const listed = rows ? [...i32(rows)] : Array.from({ length: tap.shape[0] }, (_, row) => row);
    if (WHOLE.has(name) || listed.length <= 2 * ROWS) {
      out.set(name, tap);
      if (rows) out.set(`${name}.rows`, rows);
      continue;
    }
    const kept = choose(listed, wanted(name, tap, listed, facts));
    const rowBytes = tap.data.length / tap.shape[0];
    const data = Buffer.concat(kept.map((index) => tap.data.subarray(index * rowBytes, (index + 1) * rowBytes)));
    out.set(name, { dtype: tap.dtype, shape: [kept.length, ...tap.shape.slice(1)], data });
    const numbers = Int32Array.from(kept, (index) => listed[index]);
    out.set(`${name}.rows`, { dtype: "I32", shape: [kept.length], data: Buffer.from(numbers.buffer) });
  }
  return out;
}

/** Positions in `listed` that matter more than others: around visual spans, and newlines. */
function wanted(name, tap, listed, facts) {
  if (/^(embeddings|blocks\.\d+|norm)$/.test(name)) {
    const edges = facts.spans.flatMap(({ start, length }) => [start - 1, start, start + length - 1, start + length]);
    return edges.map((row) => listed.indexOf(row)).filter((index) => index >= 0);
  }
  if (name !== "packed") return [];
  const rowBytes = tap.data.length / tap.shape[0];
  const seen = new Map();
  listed.forEach((_, index) => {
    const key = tap.data.toString("latin1", index * rowBytes, (index + 1) * rowBytes);
    seen.set(key, [...(seen.get(key) ?? []), index]);
  });
  const newlines = [...seen.values()].sort((a, b) => b.length - a.length)[0] ?? [];
  return newlines.length > 1 ? spread(newlines, NEWLINES) : [];
}

/** ROWS positions in `listed`, ascending: the ends, the wanted ones, then evenly spread ones. */
function choose(listed, positions) {
  const kept = new Set([0, listed.length - 1, ...positions.slice(0, ROWS - 2)]);
  const rest = listed.map((_, index) => index).filter((index) => !kept.has(index));
  for (const index of spread(rest, ROWS - kept.size)) kept.add(index);
  return [...kept].sort((a, b) => a - b);
}

/** `count` members of a list at even distances, its ends among them. */
function spread(list, count) {
  if (list.length <= count) return list;
  return Array.from({ length: count }, (_, k) => list[Math.round((k * (list.length - 1)) / Math.max(1, count - 1))]);
}

function i32({ data }) {
  return new Int32Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.length));
}

function readSafetensors(bytes) {
  const headerBytes = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + headerBytes));
  const body = bytes.subarray(8 + headerBytes);
  return new Map(
    Object.entries(header)
      .filter(([name]) => name !== "__metadata__")
      .map(
        ([
          name,
          {
            dtype,
            shape,
            data_offsets: [begin, end],
          },
        ]) => [name, { dtype, shape, data: body.subarray(begin, end) }],
      ),
  );
}

function writeSafetensors(tensors) {
  const header = { __metadata__: { format: "pt" } };
  let offset = 0;
  for (const [name, { dtype, shape, data }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.length] };
    offset += data.length;
  }
  const text = JSON.stringify(header);
  const json = Buffer.from(text + " ".repeat((8 - (text.length % 8)) % 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, ...[...tensors.values()].map(({ data }) => data)]);
}
