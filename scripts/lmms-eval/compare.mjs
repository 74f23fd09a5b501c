// Scores the embedded checkpoint on fresh drawings twice, by `ocellus eval` and by lmms-eval through `ocellus serve`, and compares both,
// record by record:
//
//   python3 -m venv lmms-venv && lmms-venv/bin/pip install lmms-eval==0.7.3 filelock==3.20.3
//   node scripts/lmms-eval/compare.mjs --python lmms-venv/bin/python [--records 100] [--seed 2000000] [--out FOLDER]
//
// The status is 1 if a prediction or the score differs. Run `npm run build` before.
import { spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { parquetWriteBuffer } from "hyparquet-writer";
import { freshDrawing } from "../../dist/drawings.js";
import { picture } from "../tiny/picture.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { values } = parseArgs({
  options: {
    python: { type: "string", default: "python3" },
    records: { type: "string", default: "100" },
    seed: { type: "string", default: "2000000" },
    out: { type: "string" },
  },
});
/** The kinds whose drawings are one picture, which is what most tasks of lmms-eval have. */
const KINDS = ["shapes", "number", "chart", "table", "marks"];
const OCELLUS = here("../../dist/cli/main.js");
const MODEL = here("../../models/tiny");
const MOST_TOKENS = 100;

/** Writes records.jsonl with its pictures, and the same as records.parquet beside the task. */
async function writeRecords(folder) {
  const rows = [];
  for (let i = 0; i < Number(values.records); i++) {
    const seed = Number(values.seed) + i;
    const { pictures, turns } = freshDrawing(KINDS[i % KINDS.length], seed);
    const image = await picture(pictures[0]).png().toBuffer();
    rows.push({ id: String(i), image, ...turns[seed % turns.length] });
    await writeFile(join(folder, `${i}.png`), image);
  }
  const lines = rows.map((row) => JSON.stringify({ ...row, image: `${row.id}.png` }));
  await writeFile(join(folder, "records.jsonl"), `${lines.join("\n")}\n`);
  const column = (name, type) => ({ name, type, data: rows.map((row) => row[name]) });
  const columnData = [column("image", "BYTE_ARRAY"), column("question", "STRING"), column("answer", "STRING")];
  await writeFile(join(folder, "records.parquet"), Buffer.from(parquetWriteBuffer({ columnData })));
  return rows;
}

/** Runs a program; resolves with what it printed. */
async function run(command, args, { cwd, env } = {}) {
  const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "inherit"] });
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    printed += text;
  });
  const status = await new Promise((resolve, reject) => child.once("error", reject).once("close", resolve));
  if (status !== 0) throw new Error(`${command}: status ${status}\n${printed}`);
  return printed;
}

async function byOcellus(folder) {
  const output = join(folder, "ocellus.jsonl");
  const options = [
    "--model",
    MODEL,
    "--metric",
    "exact",
    "--max-new-tokens",
    String(MOST_TOKENS),
    "-o",
    output,
    "--json",
  ];
  const { score } = JSON.parse(
    await run(process.execPath, [OCELLUS, "eval", join(folder, "records.jsonl"), ...options]),
  );
  const lines = (await readFile(output, "utf8")).trim().split("\n");
  return { score, predictions: lines.map((line) => JSON.parse(line).prediction.trim()) };
}

async function byLmmsEval(folder) {
  const server = spawn(process.execPath, [
    OCELLUS,
    "serve",
    "--model",
    MODEL,
    "--name",
    "tiny",
    "--port",
    "0",
    "--log",
    "none",
  ]);
  try {
    const [line] = await new Promise((resolve) => {
      createInterface(server.stdout).once("line", (line) => resolve([line]));
    });
    const url = / at (http:\S+)$/.exec(line)[1];
    for (const name of ["drawings.yaml", "drawings.py"]) await cp(here(name), join(folder, name));
    const options = ["--model", "openai", "--model_args", `model_version=tiny,base_url=${url}`, "--tasks", "drawings"];
    const files = [
      "--include_path",
      folder,
      "--output_path",
      join(folder, "lmms-eval"),
      "--log_samples",
      "--batch_size",
      "1",
    ];
    const env = { OPENAI_API_KEY: "none", OPENAI_API_BASE: url, HF_HUB_OFFLINE: "1" };
    await run(values.python, ["-m", "lmms_eval", ...options, ...files], { cwd: folder, env });
  } finally {
    server.kill();
  }
  const written = (await readdir(join(folder, "lmms-eval"), { recursive: true })).map((name) =>
    join(folder, "lmms-eval", name),
  );
  const results = JSON.parse(
    await readFile(
      written.find((name) => name.endsWith("_results.json")),
      "utf8",
    ),
  );
  const samples = await readFile(
    written.find((name) => name.endsWith(".jsonl")),
    "utf8",
  );
  const all = samples
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  all.sort((a, b) => a.doc_id - b.doc_id);
  return {
    score: results.results.drawings["exact,none"],
    predictions: all.map(({ filtered_resps }) => [filtered_resps].flat()[0].trim()),
  };
}

const folder = values.out ?? (await mkdtemp(join(tmpdir(), "lmms-eval-")));
await mkdir(folder, { recursive: true });
const rows = await writeRecords(folder);
const own = await byOcellus(folder);
const theirs = await byLmmsEval(folder);
console.log(`ocellus eval: ${own.score}; lmms-eval: ${theirs.score}; ${rows.length} records in ${folder}`);
const differing = rows.flatMap(({ question }, i) =>
  own.predictions[i] === theirs.predictions[i]
    ? []
    : `${i}: ${question} ${own.predictions[i]} | ${theirs.predictions[i]}`,
);
for (const line of differing) console.log(line);
if (differing.length > 0 || own.score !== theirs.score || theirs.predictions.length !== rows.length)
  process.exitCode = 1;
