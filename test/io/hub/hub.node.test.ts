import { cp, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { AbortedError, CheckpointError, NoRoomError, OptionError, SourceError } from "../../../src/base/errors.js";
import {
  type CheckpointFiles,
  type DownloadProgress,
  type HubOptions,
  openCheckpoint,
} from "../../../src/io/checkpoint/checkpoint.js";
import { LlavaOneVision } from "../../../src/models/llava-onevision.js";
import { gitHash, type HubFileContent, HubServer, sha256 } from "../../support/hub-server.js";

const NAME = "ocellus-test/tiny";
const FOLDER = "models--ocellus-test--tiny";
const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const WEIGHTS = "model.safetensors";
const TINY = fileURLToPath(new URL("../../../models/tiny/", import.meta.url));
/** What the hub has. */
let files: Map<string, HubFileContent>;
let weights: Uint8Array;
let cacheFolder: string;
let server: HubServer;

beforeAll(async () => {
  files = new Map();
  for (const name of await readdir(TINY)) {
    if (!/\.(json|safetensors)$/.test(name)) continue;
    files.set(name, { bytes: await readFile(join(TINY, name)), large: name === WEIGHTS || name === "tokenizer.json" });
  }
  const text = (content: string) => ({ bytes: new TextEncoder().encode(content), large: false });
  files.set("video_processor/preprocessor_config.json", text('{"a": 1}'));
  for (const unneeded of [
    "README.md",
    "merges.txt",
    "pytorch_model.bin",
    "onnx/config.json",
    "model-00001-of-00002.safetensors",
  ])
    files.set(unneeded, text("unneeded"));
  weights = files.get(WEIGHTS)!.bytes;
});

beforeEach(async () => {
  cacheFolder = await mkdtemp(join(tmpdir(), "hub cache "));
  server = await new HubServer(NAME, COMMIT, new Map(files)).start();
  for (const name of ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_ENDPOINT"])
    vi.stubEnv(name, "");
  vi.stubEnv("HF_HOME", cacheFolder);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await server.stop();
  await rm(cacheFolder, { recursive: true });
});

const inCache = (...path: string[]) => join(cacheFolder, FOLDER, ...path);
const blobOf = (path: string) => (files.get(path)!.large ? sha256 : gitHash)(files.get(path)!.bytes);
const incomplete = (path: string) => inCache("blobs", `${blobOf(path)}.incomplete`);
const needed = () =>
  [...files.keys()].filter((path) => path === WEIGHTS || (path.endsWith(".json") && !path.startsWith("onnx/")));

type Options = HubOptions & { signal?: AbortSignal; retryDelayMilliseconds?: number };
const open = (options: Options = {}, name = NAME): Promise<CheckpointFiles> =>
  openCheckpoint(name, { endpoint: server.endpoint, cacheFolder, retryDelayMilliseconds: 1, ...options });

/** Opens and reads everything, and sees that it is what the folder holds. */
async function loadAndCompare(options: Options = {}, name = NAME): Promise<void> {
  const checkpoint = await open(options, name);
  expect(await checkpoint.json("config.json")).toEqual(JSON.parse(await readFile(join(TINY, "config.json"), "utf8")));
  expect(await checkpoint.text("chat_template.jinja")).toBeUndefined();
  const tensors = await checkpoint.tensors();
  const local = await (await openCheckpoint(TINY)).tensors();
  expect(tensors.sizeBytes).toBe(local.sizeBytes);
  for (const [name, tensor] of [...tensors.entries].slice(0, 5)) {
    const { lengthBytes } = tensor.entry;
    const same = Buffer.compare(
      await tensors.read(tensor, 0, lengthBytes),
      await local.read(local.entries.get(name)!, 0, lengthBytes),
    );
    expect(same).toBe(0);
  }
  await tensors.close();
  await local.close();
}

/** The cache as huggingface_hub writes it, with `of` in place of what the hub has. */
async function writeLikePython(paths: readonly string[], revision = "main"): Promise<void> {
  await mkdir(inCache("refs"), { recursive: true });
  await mkdir(inCache("blobs"), { recursive: true });
  await writeFile(inCache("refs", revision), COMMIT);
  for (const path of paths) {
    await writeFile(inCache("blobs", blobOf(path)), files.get(path)!.bytes);
    const pointer = inCache("snapshots", COMMIT, path);
    await mkdir(dirname(pointer), { recursive: true });
    await symlink(`${"../".repeat(path.split("/").length + 1)}blobs/${blobOf(path)}`, pointer);
  }
}

describe("the cache folder", () => {
  test("a first download lies as Python's does; the second touches no network", async () => {
    await loadAndCompare();
    expect((await readdir(inCache())).sort()).toEqual(["blobs", "refs", "snapshots", "trees"]);
    expect(await readFile(inCache("refs", "main"), "utf8")).toBe(COMMIT);
    expect((await readdir(inCache("blobs"))).sort()).toEqual([...new Set(needed().map(blobOf))].sort());
    for (const path of needed()) {
      const pointer = inCache("snapshots", COMMIT, path);
      expect((await lstat(pointer)).isSymbolicLink()).toBe(true);
      expect(await readlink(pointer)).toBe(`${"../".repeat(path.split("/").length + 1)}blobs/${blobOf(path)}`);
      expect(Buffer.compare(await readFile(pointer), files.get(path)!.bytes)).toBe(0);
    }
    const present = await readdir(inCache("snapshots", COMMIT), { recursive: true });
    expect(present.filter((path) => path !== "video_processor").sort()).toEqual(needed().sort());
    expect(await readdir(join(cacheFolder, ".locks", FOLDER))).toEqual([]);
    expect(server.requests.filter(({ method }) => method !== "GET")).toEqual([]);

    const before = server.requests.length;
    await loadAndCompare();
    await loadAndCompare({ offline: true });
    await loadAndCompare({ revision: COMMIT });
    await loadAndCompare({}, `${NAME}@${COMMIT}`);
    expect(server.requests.length).toBe(before);
  });

  test("the listing is cached in huggingface_hub's format, and read page by page", async () => {
    server.pageSize = 3;
    await open();
    const tree = JSON.parse(await readFile(inCache("trees", `${COMMIT}.json`), "utf8"));
    expect(tree.format_version).toBe(1);
    expect(Object.keys(tree.files)).toEqual([...files.keys()].sort());
    expect(tree.files[WEIGHTS]).toMatchObject({
      size: weights.length,
      lfs_sha256: sha256(weights),
      lfs_size: weights.length,
    });
    expect(tree.files["config.json"]).toEqual({
      size: files.get("config.json")!.bytes.length,
      blob_id: blobOf("config.json"),
    });
    expect(server.requests.filter(({ path }) => path.includes("/tree/")).length).toBe(Math.ceil((files.size + 1) / 3));
  });

  test("weights come when they are opened, not before", async () => {
    const checkpoint = await open();
    expect(await checkpoint.has(WEIGHTS)).toBe(true);
    expect(server.bytesOf(WEIGHTS)).toBe(0);
    await (await checkpoint.tensors()).close();
    expect(server.bytesOf(WEIGHTS)).toBe(weights.length);
  });

  test("what Python wrote is read offline", async () => {
    await writeLikePython(needed());
    await loadAndCompare({ offline: true });
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    await loadAndCompare();
    expect(server.requests).toEqual([]);
  });

  test("what Python wrote is used online; only what it lacks is downloaded", async () => {
    await writeLikePython([WEIGHTS, "config.json"]);
    await loadAndCompare();
    expect(server.bytesOf(WEIGHTS)).toBe(0);
    expect(server.bytesOf("config.json")).toBe(0);
    expect(server.bytesOf("tokenizer.json")).toBe(files.get("tokenizer.json")!.bytes.length);
    const before = server.requests.length;
    await loadAndCompare();
    expect(server.requests.length).toBe(before);
  });

  test("offline: a missing repository, revision and file are named", async () => {
    await expect(open({ offline: true })).rejects.toThrow(CheckpointError);
    await writeLikePython(["config.json"]);
    await expect(open({ offline: true, revision: "v2" })).rejects.toThrow("v2");
    const partial = await open({ offline: true });
    await expect(partial.tensors()).rejects.toThrow("model.safetensors");
    // The listing says that there are weights; without it there may be none.
    await open();
    const listed = await open({ offline: true });
    await expect(listed.tensors()).rejects.toThrow("nothing in the cache");
    await expect(LlavaOneVision.load("ocellus-test/none", { offline: true, cacheFolder })).rejects.toThrow("offline");
  });

  test("a blob that was cut short is downloaded again", async () => {
    await writeLikePython(needed());
    await writeFile(inCache("blobs", blobOf(WEIGHTS)), weights.subarray(0, 1000));
    await loadAndCompare();
    expect(server.bytesOf(WEIGHTS)).toBe(weights.length);
    expect((await stat(inCache("blobs", blobOf(WEIGHTS)))).size).toBe(weights.length);
  });

  test("a folder of the name comes first, and takes no revision", async () => {
    const before = process.cwd();
    await mkdir(join(cacheFolder, "org"), { recursive: true });
    await cp(TINY, join(cacheFolder, "org", "tiny"), { recursive: true });
    try {
      process.chdir(cacheFolder);
      expect((await open({}, "org/tiny")).name).toBe("org/tiny");
      await expect(open({ revision: "main" }, "org/tiny")).rejects.toThrow(OptionError);
    } finally {
      process.chdir(before);
    }
    expect(server.requests).toEqual([]);
  });

  test("variables say where the cache and the hub are", async () => {
    vi.stubEnv("HF_ENDPOINT", `${server.endpoint}/`);
    vi.stubEnv("HF_HUB_CACHE", "$HF_HOME/elsewhere");
    await (await openCheckpoint(NAME)).json("config.json");
    expect(await readdir(join(cacheFolder, "elsewhere"))).toContain(FOLDER);
    vi.stubEnv("HF_HUB_CACHE", "");
    await (await openCheckpoint(NAME)).json("config.json");
    expect(await readdir(join(cacheFolder, "hub"))).toContain(FOLDER);
  });
});

describe("revisions", () => {
  const OTHER = "f".repeat(40);

  test("a branch with a slash, a commit, and a branch that moves", async () => {
    server.branches["refs/pr/1"] = COMMIT;
    await open({}, `${NAME}@refs/pr/1`);
    expect(await readFile(inCache("refs", "refs", "pr", "1"), "utf8")).toBe(COMMIT);
    await open({ revision: COMMIT });
    expect(await readdir(inCache("refs"))).toEqual(["refs"]);
    await open();
    server.branches.main = OTHER;
    expect(await (await open()).json("config.json")).toBeDefined();
    expect(await readFile(inCache("refs", "main"), "utf8")).toBe(COMMIT);
    const sent = server.bytesOf("config.json");
    await open({ refresh: true });
    expect(await readFile(inCache("refs", "main"), "utf8")).toBe(OTHER);
    expect(await readdir(inCache("snapshots"))).toEqual([COMMIT, OTHER]);
    expect(server.bytesOf("config.json")).toBe(sent);
  });

  test("two that differ, and one that leads out of the folder", async () => {
    await expect(open({ revision: "a" }, `${NAME}@b`)).rejects.toThrow(OptionError);
    await expect(open({ revision: "../../x" })).rejects.toThrow(OptionError);
    await expect(open({ revision: "none" })).rejects.toThrow("no such revision");
  });
});

describe("a download that breaks", () => {
  /** What `fetch` has received and not yet handed on is lost with the connection. */
  const LOST_BYTES = 1 << 20;

  test.each([0, 1, 63, 65536, 3_000_001, 7_000_000])("resumes after %d bytes", async (cutAfterBytes) => {
    server.faults.set(WEIGHTS, [{ cutAfterBytes }, { status: 503 }, { cutAfterBytes: 7 }]);
    await loadAndCompare();
    const sent = server.requests.filter(({ host, bytesSent }) => host === "store" && bytesSent > 0);
    const starts = sent.map(({ range }) => Number(/^bytes=(\d+)-$/.exec(range ?? "bytes=0-")![1]));
    for (const [i, { bytesSent }] of sent.slice(0, -1).entries()) {
      const end = starts[i]! + bytesSent;
      expect(starts[i + 1]).toBeLessThanOrEqual(end);
      expect(starts[i + 1]).toBeGreaterThanOrEqual(Math.max(starts[i]!, end - LOST_BYTES));
    }
    expect(server.bytesOf(WEIGHTS)).toBeLessThan(weights.length + LOST_BYTES);
  });

  test.each([1, 4099, 3_000_001, 7_000_000])(
    "for good after %d bytes goes on in the next run",
    async (cutAfterBytes) => {
      const broken = { status: 503 };
      server.faults.set(WEIGHTS, [{ cutAfterBytes }, broken, broken, broken, broken, broken, broken, broken]);
      const failing = (await open()).tensors();
      await expect(failing).rejects.toThrow(SourceError);
      await expect(failing).rejects.toThrow("503");
      const { size } = await stat(incomplete(WEIGHTS));
      expect(size).toBeLessThanOrEqual(cutAfterBytes);
      expect(size).toBeGreaterThan(cutAfterBytes - LOST_BYTES);
      server.faults.clear();
      const seen: DownloadProgress[] = [];
      await loadAndCompare({ onDownload: (progress) => seen.push(progress) });
      expect(server.bytesOf(WEIGHTS)).toBe(weights.length - size + cutAfterBytes);
      const first = seen.find(({ file }) => file === WEIGHTS)!;
      expect(first.loadedBytes).toBeGreaterThanOrEqual(size);
    },
  );

  test.each([429, 500, 502])("status %d is retried, but not forever", async (status) => {
    server.faults.set(WEIGHTS, [{ status }, { status }]);
    await loadAndCompare();
    expect(server.bytesOf(WEIGHTS)).toBe(weights.length);
    await rm(cacheFolder, { recursive: true });
    server.faults.set(WEIGHTS, Array(20).fill({ status }));
    await expect((await open()).tensors()).rejects.toThrow(String(status));
    expect(server.faults.get(WEIGHTS)!.length).toBeGreaterThan(10);
  });

  test("status 404 of a listed file is not retried", async () => {
    server.faults.set(WEIGHTS, [{ status: 404 }, { status: 404 }]);
    await expect((await open()).tensors()).rejects.toThrow("404");
    expect(server.faults.get(WEIGHTS)!.length).toBe(1);
  });

  test("an abort leaves what has arrived", async () => {
    const abort = new AbortController();
    server.faults.set(WEIGHTS, [{ stallAfterBytes: 2_000_003 }]);
    const running = (await open({ signal: abort.signal })).tensors();
    await vi.waitFor(async () => expect((await stat(incomplete(WEIGHTS))).size).toBe(2_000_003), { timeout: 5000 });
    abort.abort();
    await expect(running).rejects.toThrow(AbortedError);
    const { size } = await stat(incomplete(WEIGHTS));
    expect(size).toBe(2_000_003);
    expect(await readdir(join(cacheFolder, ".locks", FOLDER))).toEqual([]);
    const before = server.requests.length;
    await loadAndCompare();
    const after = server.requests.slice(before).filter(({ host }) => host === "store");
    expect(after.map(({ range }) => range)).toEqual([`bytes=${size}-`]);
    expect(after[0]!.bytesSent).toBe(weights.length - size);
  });

  test("what an older Python left is gone on with, and thrown away if it is wrong", async () => {
    await mkdir(inCache("blobs"), { recursive: true });
    await writeFile(incomplete(WEIGHTS), weights.subarray(0, 5_000_000));
    await writeFile(incomplete("config.json"), "wrong");
    await writeFile(incomplete("tokenizer.json"), new Uint8Array(50_000_000));
    await loadAndCompare();
    expect(server.bytesOf(WEIGHTS)).toBe(weights.length - 5_000_000);
    expect(server.bytesOf("config.json")).toBe(2 * files.get("config.json")!.bytes.length - 5);
  });

  test("a file that was complete but not yet renamed needs no request", async () => {
    await mkdir(inCache("blobs"), { recursive: true });
    await writeFile(incomplete(WEIGHTS), weights);
    await loadAndCompare();
    expect(server.bytesOf(WEIGHTS)).toBe(0);
  });

  test("a server without ranges restarts the download", async () => {
    server.ranges = false;
    server.faults.set(WEIGHTS, [{ cutAfterBytes: 100_000 }]);
    await loadAndCompare();
    expect(server.bytesOf(WEIGHTS)).toBe(weights.length + 100_000);
  });
});

describe("what is wrong is refused", () => {
  test.each([WEIGHTS, "config.json"])("the hash of %s; the next load gets it right", async (path) => {
    server.faults.set(path, [{ corrupt: true }]);
    const failing = open().then((checkpoint) => checkpoint.tensors());
    await expect(failing).rejects.toThrow(CheckpointError);
    await expect(failing).rejects.toThrow(`with the hash ${blobOf(path)}`);
    expect(await readdir(inCache("blobs"))).not.toContain(blobOf(path));
    await expect(stat(incomplete(path))).rejects.toThrow("ENOENT");
    await expect(lstat(inCache("snapshots", COMMIT, path))).rejects.toThrow("ENOENT");
    await loadAndCompare();
  });

  test("another length than the one listed", async () => {
    server.faults.set(WEIGHTS, [{ extraBytes: 8 }]);
    const failing = (await open()).tensors();
    await expect(failing).rejects.toThrow(`expected ${weights.length} bytes, as the repository lists`);
    await expect(failing).rejects.toThrow(CheckpointError);
    // The same after a break.
    server.faults.set(WEIGHTS, [{ cutAfterBytes: 1000 }, { extraBytes: 8 }]);
    await expect((await open()).tensors()).rejects.toThrow(`got ${weights.length + 8} bytes`);
    await loadAndCompare();
  });

  test("a listing that leads out of the folder", async () => {
    server.files.set("../../evil.json", { bytes: new Uint8Array(1), large: false });
    await expect(open()).rejects.toThrow(CheckpointError);
    await expect(stat(inCache("snapshots"))).rejects.toThrow("ENOENT");
  });

  test("a web page in place of the hub", async () => {
    const fetch: typeof globalThis.fetch = async () => new Response("<html>sign in</html>");
    const opening = openCheckpoint(NAME, { endpoint: server.endpoint, cacheFolder, fetch });
    await expect(opening).rejects.toThrow("a login page");
    await expect(open({ endpoint: "huggingface.co" })).rejects.toThrow(OptionError);
  });

  test("more than the disk holds", async () => {
    server.files.set(WEIGHTS, { bytes: weights, large: true });
    const page = `${server.endpoint}/api/models/${NAME}/tree/`;
    const fetch: typeof globalThis.fetch = async (input, init) => {
      const response = await globalThis.fetch(input, init);
      if (!String(input).startsWith(page)) return response;
      const entries: { path: string; size: number }[] = JSON.parse(await response.text());
      for (const entry of entries) if (entry.path === WEIGHTS) entry.size = 2 ** 52;
      return Response.json(entries);
    };
    const checkpoint = await openCheckpoint(NAME, { endpoint: server.endpoint, cacheFolder, fetch });
    const error = await checkpoint.tensors().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(NoRoomError);
    const { message, neededBytes, freeBytes } = error as NoRoomError;
    expect(message).toMatch(/bytes free for ocellus-test\/tiny/);
    expect(neededBytes).toBeGreaterThanOrEqual(2 ** 52);
    expect(freeBytes).toBeGreaterThan(0);
  });
});

describe("access", () => {
  test("no such repository, and a private one", async () => {
    const opening = open({}, "ocellus-test/none");
    await expect(opening).rejects.toThrow(CheckpointError);
    await expect(opening).rejects.toThrow(/none of that name, or a private one .*401.*HF_TOKEN/);
    server.token = "hf_secret";
    await expect(open()).rejects.toThrow("set HF_TOKEN");
    await expect(open({ token: "hf_wrong" })).rejects.toThrow("check the name, and that the token is valid");
    vi.stubEnv("HF_TOKEN", "hf_secret\n");
    await open();
    await expect(open({ token: "", refresh: true })).rejects.toThrow("set HF_TOKEN");
    await rm(cacheFolder, { recursive: true });
    vi.stubEnv("HF_TOKEN", "");
    await mkdir(cacheFolder);
    await writeFile(join(cacheFolder, "token"), "hf_secret\n");
    await open();
  });

  test("a dataset's name and a space's", async () => {
    server.others = { datasets: ["org/pictures"], spaces: ["org/demo"] };
    await expect(open({}, "org/pictures")).rejects.toThrow(/expected a model's repository, got a dataset's/);
    await expect(open({}, "org/demo")).rejects.toThrow(/got a space's.*the model that the space runs/);
    await expect(open({}, "datasets/org/pictures")).rejects.toThrow("got a dataset's");
  });

  test("the address of a page of the hub is the repository's", async () => {
    const page = `${server.endpoint}/${NAME}/tree/main`;
    expect((await open({}, page)).name).toBe(NAME);
    await expect(open({}, `${page}/onnx`)).rejects.toThrow("the folder onnx within");
  });

  test("another family is named before its weights are downloaded", async () => {
    const config = new TextEncoder().encode('{"model_type": "qwen2_vl"}');
    server.files.set("config.json", { bytes: config, large: false });
    const loading = LlavaOneVision.load(NAME, { endpoint: server.endpoint, cacheFolder });
    await expect(loading).rejects.toThrow(`${NAME}: config.json: model_type`);
    expect(server.bytesOf(WEIGHTS)).toBe(0);
  });

  test("an adapter's repository, and one of GGUF files", async () => {
    server.files.clear();
    server.files.set("x.gguf", { bytes: weights, large: true });
    const loading = (): Promise<unknown> =>
      LlavaOneVision.load(NAME, { endpoint: server.endpoint, cacheFolder, refresh: true });
    await expect(loading()).rejects.toThrow("x.gguf, a GGUF file");
    expect(server.bytesOf("x.gguf")).toBe(0);
    server.branches = { main: COMMIT.replace("0", "1") };
    const adapter = new TextEncoder().encode('{"peft_type": "LORA", "base_model_name_or_path": "llava-hf/base"}');
    server.files.set("adapter_config.json", { bytes: adapter, large: false });
    await expect(loading()).rejects.toThrow("an adapter (PEFT, LORA) for llava-hf/base");
  });

  test("a gated repository", async () => {
    server.gated = true;
    await expect(open()).rejects.toThrow(`accept its conditions at ${server.endpoint}/${NAME}; set HF_TOKEN`);
    await expect(open({ stream: true }).then((c) => c.json("config.json"))).rejects.toThrow("accept its conditions");
  });

  test.each([false, true])("the token goes to the hub alone (stream %s)", async (stream) => {
    server.token = "hf_secret";
    await loadAndCompare({ token: "hf_secret", stream, ...(stream && { cacheFolder: undefined }) });
    const of = (host: string) => server.requests.filter((request) => request.host === host);
    expect(of("store").length).toBeGreaterThan(0);
    expect(of("store").map(({ authorization }) => authorization)).toEqual(of("store").map(() => undefined));
    expect(of("hub").every(({ authorization }) => authorization === "Bearer hf_secret")).toBe(true);
  });

  test("a hub that cannot be reached", async () => {
    await server.stop();
    await expect(open()).rejects.toThrow(/ECONNREFUSED|fetch failed/);
    await expect(open()).rejects.toThrow(SourceError);
  });
});

describe("two at once", () => {
  test("share one download", async () => {
    await Promise.all([loadAndCompare(), loadAndCompare()]);
    for (const path of needed()) {
      // Files with the same bytes are one blob.
      const twins = needed().filter((other) => blobOf(other) === blobOf(path));
      const sent = twins.reduce((sum, twin) => sum + server.bytesOf(twin), 0);
      if (twins[0] === path && !path.includes("preprocessor"))
        expect([path, sent]).toEqual([path, files.get(path)!.bytes.length]);
    }
    expect(await readdir(join(cacheFolder, ".locks", FOLDER))).toEqual([]);
  });

  test("the second reports the first's progress, and can be aborted while waiting", async () => {
    let go = (): void => {};
    server.faults.set(WEIGHTS, [{ until: new Promise<void>((resolve) => (go = resolve)) }]);
    const first = (await open()).tensors();
    const abort = new AbortController();
    const second = (await open({ signal: abort.signal })).tensors();
    setTimeout(() => abort.abort(), 300);
    await expect(second).rejects.toThrow(AbortedError);
    go();
    await (await first).close();
    expect(server.bytesOf(WEIGHTS)).toBe(weights.length);
  });

  test("the lock of a process that died is taken over", async () => {
    const { hostname } = await import("node:os");
    const lock = join(cacheFolder, ".locks", FOLDER, `${blobOf("config.json")}.taken`);
    await mkdir(dirname(lock), { recursive: true });
    await writeFile(lock, JSON.stringify({ pid: 2 ** 22 + 1, host: hostname(), id: "gone" }));
    await open();
    await expect(stat(lock)).rejects.toThrow("ENOENT");
  });
});

test("progress: every file ends complete, and the sums add up", async () => {
  const seen: DownloadProgress[] = [];
  await loadAndCompare({ onDownload: (progress) => seen.push(progress) });
  const total = needed().reduce((sum, path) => sum + files.get(path)!.bytes.length, 0);
  for (const path of needed()) {
    const last = seen.filter(({ file }) => file === path).at(-1)!;
    expect(last.loadedBytes).toBe(files.get(path)!.bytes.length);
    expect(last.totalBytes).toBe(last.loadedBytes);
  }
  expect(seen.map(({ allTotalBytes }) => allTotalBytes)).toEqual(seen.map(() => total));
  expect(seen.at(-1)).toMatchObject({ allLoadedBytes: total, secondsLeft: 0 });
  expect(seen.at(-1)!.bytesPerSecond).toBeGreaterThan(0);
});

describe("a stream", () => {
  test("reads ranges and writes no file", async () => {
    await loadAndCompare({ stream: true, cacheFolder: undefined });
    expect(await readdir(cacheFolder)).toEqual([]);
    const files = server.requests.filter(({ path }) => !path.startsWith("/api/"));
    expect(files.every(({ range }) => /^bytes=\d+-\d+$/.test(range ?? ""))).toBe(true);
    // A request for the beginning, one for the header, and windows for the rest.
    expect(server.requests.filter(({ path }) => path === `/store/${WEIGHTS}`).length).toBeLessThan(10);
  });

  test("is pinned to the commit, and refuses another length", async () => {
    const checkpoint = await open({ stream: true });
    server.branches.main = "f".repeat(40);
    await checkpoint.json("config.json");
    expect(server.requests.at(-1)!.path).toContain(`/resolve/${COMMIT}/`);
    server.faults.set(WEIGHTS, [{ extraBytes: 3 }]);
    await expect(checkpoint.tensors()).rejects.toThrow("as the repository lists");
    await expect(open({ stream: true, offline: true })).rejects.toThrow(OptionError);
  });
});
