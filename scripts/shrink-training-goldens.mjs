// Writes the copy of the training goldens that the tests use, small enough for the repository.
//
//   node scripts/shrink-training-goldens.mjs GOLDENS [TARGET = test/data/goldens] [VALUES = 512]
//
// Of every gradient with more than VALUES elements, rows spread evenly over those that the source has are kept; their numbers are in
// `rows.NAME` (i64). The JSON files, with the norms of the complete gradients, are copied unchanged.
import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

const [source, target = "test/data/goldens", valuesArgument = "512"] = process.argv.slice(2);
const VALUES = Number(valuesArgument);
if (!source || !(VALUES >= 1)) {
  console.error("usage: node scripts/shrink-training-goldens.mjs GOLDENS [TARGET] [VALUES]");
  process.exit(2);
}

for (const model of ["hf-05b-like", "lmms-7b-like"]) {
  const folder = join(source, model, "training");
  await mkdir(join(target, "training", model), { recursive: true });
  for (const file of (await readdir(folder)).filter((name) => /\.(json|safetensors)$/.test(name))) {
    const to = join(target, "training", model, file);
    if (file.endsWith(".json")) await copyFile(join(folder, file), to);
    else await writeFile(to, writeSafetensors(shrink(readSafetensors(await readFile(join(folder, file))))));
  }
}

function shrink(tensors) {
  const out = new Map();
  for (const [name, tensor] of tensors) {
    if (name.startsWith("rows.")) continue;
    const plain = name.replace(/^(lora_)?gradient\./, "");
    const rows = tensor.shape[0];
    const width = tensor.data.length / 4 / rows;
    const keep = Math.max(1, Math.min(rows, Math.floor(VALUES / width)));
    const listed = tensors.get(`rows.${plain}`);
    const numbers = listed
      ? Array.from(new BigInt64Array(Uint8Array.from(listed.data).buffer), Number)
      : Array.from({ length: rows }, (_, i) => i);
    if (tensor.data.length / 4 <= VALUES) {
      out.set(name, tensor);
      if (listed) out.set(`rows.${plain}`, listed);
      continue;
    }
    const kept = Array.from({ length: keep }, (_, i) => Math.floor(((i + 0.5) * rows) / keep));
    const data = Buffer.concat(kept.map((row) => tensor.data.subarray(row * width * 4, (row + 1) * width * 4)));
    out.set(name, { dtype: "F32", shape: [keep, width], data });
    const own = BigInt64Array.from(kept, (row) => BigInt(numbers[row]));
    out.set(`rows.${plain}`, { dtype: "I64", shape: [keep], data: Buffer.from(own.buffer) });
  }
  return out;
}

/** Tensors of a safetensors file by name. */
function readSafetensors(bytes) {
  const headerBytes = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + headerBytes));
  delete header.__metadata__;
  return new Map(
    Object.entries(header).map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => [name, { dtype, shape, data: bytes.subarray(8 + headerBytes + from, 8 + headerBytes + to) }],
    ),
  );
}

/** A safetensors file; those of 8 bytes an element come first, so that all are aligned. */
function writeSafetensors(tensors) {
  const ordered = [...tensors].sort(([, a], [, b]) => Number(b.dtype === "I64") - Number(a.dtype === "I64"));
  let at = 0;
  const header = {};
  for (const [name, { dtype, shape, data }] of ordered) {
    header[name] = { dtype, shape, data_offsets: [at, at + data.length] };
    at += data.length;
  }
  const text = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, 0x20)]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, padded, ...ordered.map(([, { data }]) => data)]);
}
