import { expect, test } from "vitest";
import { AbortedError, CheckpointError, OptionError, SourceError } from "../../../src/base/errors.js";
import { openCheckpoint } from "../../../src/io/checkpoint/checkpoint.js";
import { files, weights } from "../../support/checkpoint-parts.js";

/** Serves a map of files without ranges, as a simple static server does. */
function server(contents: Record<string, BlobPart>, seen: string[] = []): typeof fetch {
  return async (input) => {
    const url = new URL(String(input));
    seen.push(url.pathname + url.search);
    const name = url.pathname.replace(/^\/models\/tiny\//, "");
    const content = contents[decodeURIComponent(name)];
    return content === undefined ? new Response("no", { status: 404 }) : new Response(content as BodyInit);
  };
}

test("JSON, text and presence of files from a list", async () => {
  const checkpoint = await openCheckpoint(
    files({ "config.json": '{"a": [1]}', "broken.json": '{\n"a": ]}', "latin.txt": Uint8Array.of(0xff, 0x41) }),
  );
  expect(await checkpoint.json("config.json")).toEqual({ a: [1] });
  expect(await checkpoint.text("config.json")).toBe('{"a": [1]}');
  expect(await checkpoint.has("config.json")).toBe(true);
  expect(await checkpoint.has("generation_config.json")).toBe(false);
  expect(await checkpoint.json("generation_config.json")).toBeUndefined();
  expect(await checkpoint.text("generation_config.json")).toBeUndefined();
  await expect(checkpoint.json("broken.json")).rejects.toThrow("broken.json: line 2, column 6: expected a value");
  await expect(checkpoint.text("latin.txt")).rejects.toThrow("expected UTF-8 text");
});

test("files of a chosen folder go by their path in it", async () => {
  const file = Object.defineProperty(new File(["{}"], "preprocessor_config.json"), "webkitRelativePath", {
    value: "my model/video_processor/preprocessor_config.json",
  });
  const checkpoint = await openCheckpoint([file]);
  expect(await checkpoint.has("video_processor/preprocessor_config.json")).toBe(true);
  expect(await checkpoint.has("preprocessor_config.json")).toBe(false);
});

test("two files of one name are refused", async () => {
  const twice = [...files({ "config.json": "{}" }), ...files({ "config.json": "{}" })];
  await expect(openCheckpoint(twice)).rejects.toThrow("config.json twice");
});

test("a base URL, with and without a slash, with a query", async () => {
  const seen: string[] = [];
  const fetch = server({ "config.json": '{"a": 1}', "model.safetensors": weights("a"), "x y.json": "2" }, seen);
  for (const location of ["https://host.test/models/tiny", new URL("https://host.test/models/tiny/?token=t")]) {
    const checkpoint = await openCheckpoint(location, { fetch });
    expect(await checkpoint.json("config.json")).toEqual({ a: 1 });
    expect(await checkpoint.json("generation_config.json")).toBeUndefined();
    expect(await checkpoint.json("x y.json")).toBe(2);
    const tensors = await checkpoint.tensors();
    expect([...(await tensors.read(tensors.entries.get("a")!, 0, 4))]).toEqual([0, 1, 2, 3]);
    await tensors.close();
  }
  expect(seen[0]).toBe("/models/tiny/config.json");
  expect(seen.at(-1)).toBe("/models/tiny/model.safetensors?token=t");
});

test("looking whether a file is there and reading it is one request", async () => {
  const seen: string[] = [];
  const fetch = server({ "config.json": "{}" }, seen);
  const checkpoint = await openCheckpoint("https://host.test/models/tiny/", { fetch });
  expect(await checkpoint.has("config.json")).toBe(true);
  expect(await checkpoint.has("config.json")).toBe(true);
  expect(await checkpoint.json("config.json")).toEqual({});
  expect(seen).toHaveLength(1);
});

test("a URL with a pickle only, and one with nothing", async () => {
  for (const [contents, words] of [
    [{ "pytorch_model.bin": "x" }, "pickle"],
    [{}, "no such file"],
  ] as const) {
    const checkpoint = await openCheckpoint("https://host.test/models/tiny", { fetch: server(contents) });
    await expect(checkpoint.tensors()).rejects.toThrow(words);
  }
});

test("a server's failure is not an absent file", async () => {
  const fetch: typeof globalThis.fetch = async () => new Response("no", { status: 403 });
  const checkpoint = await openCheckpoint("https://host.test/models/tiny", { fetch });
  await expect(checkpoint.json("config.json")).rejects.toThrow(SourceError);
  await expect(checkpoint.has("config.json")).rejects.toThrow("authorization");
});

test("a hub id is read from the hub, which may not have it", async () => {
  const requests: string[] = [];
  const fetch: typeof globalThis.fetch = async (input) => {
    requests.push(String(input));
    return new Response("no", { status: 404 });
  };
  const opening = openCheckpoint("llava-hf/no-such-model", { fetch, stream: true, endpoint: "https://hub.test" });
  await expect(opening).rejects.toThrow("llava-hf/no-such-model on hub.test: expected a repository");
  await expect(opening).rejects.toBeInstanceOf(CheckpointError);
  // A dataset or a space of that name would be named.
  expect(requests).toEqual(
    [
      "models/llava-hf/no-such-model/revision/main",
      "datasets/llava-hf/no-such-model",
      "spaces/llava-hf/no-such-model",
    ].map((path) => `https://hub.test/api/${path}`),
  );
});

test("a revision goes with a hub id alone", async () => {
  await expect(openCheckpoint([], { revision: "main" })).rejects.toThrow(OptionError);
  await expect(openCheckpoint("https://host.test/tiny", { revision: "main" })).rejects.toThrow("a folder or URL");
});

test("an abort stops opening and every read after it", async () => {
  await expect(openCheckpoint([], { signal: AbortSignal.abort() })).rejects.toThrow(AbortedError);
  const abort = new AbortController();
  const contents = { "model.safetensors": weights("a"), "config.json": "{}" };
  const checkpoint = await openCheckpoint(files(contents), { signal: abort.signal });
  abort.abort();
  await expect(checkpoint.json("config.json")).rejects.toThrow(AbortedError);
  await expect(checkpoint.has("config.json")).rejects.toThrow(AbortedError);
  await expect(checkpoint.tensors()).rejects.toThrow(AbortedError);
});

test("a byte order mark and CRLF are taken, UTF-16 and other bytes are named", async () => {
  const config = '\ufeff{\r\n"a": [1]}\r\n';
  const wide = Uint8Array.from([0xff, 0xfe, ...[...'{"a":1}'].flatMap((letter) => [letter.charCodeAt(0), 0])]);
  const checkpoint = await openCheckpoint(
    files({ "config.json": config, "wide.json": wide, "latin.json": Uint8Array.of(0x7b, 0x22, 0xe9, 0x22, 0x7d) }),
  );
  expect(await checkpoint.json("config.json")).toEqual({ a: [1] });
  for (const [name, got] of [
    ["wide.json", "got UTF-16 — save it as UTF-8"],
    ["latin.json", "got byte 0xe9 at offset 2"],
  ] as const) {
    const fault = await checkpoint.json(name).catch((error: unknown) => error);
    expect(fault).toBeInstanceOf(CheckpointError);
    expect((fault as Error).message).toContain(`${name}: expected UTF-8 text, ${got}`);
  }
});

test("a URL is not asked for the other chat template, nor for an index, where one is there", async () => {
  const asked = new Set<string>();
  const fetch: typeof globalThis.fetch = async (input) => {
    const name = new URL(String(input)).pathname.split("/").at(-1)!;
    asked.add(name);
    return /^(chat_template\.json|model\.safetensors)$/.test(name)
      ? new Response("{}")
      : new Response("no", { status: 404 });
  };
  const checkpoint = await openCheckpoint("https://host.test/models/tiny", { fetch });
  expect(await checkpoint.text("chat_template.jinja")).toBeUndefined();
  expect(await checkpoint.text("model.safetensors.index.json")).toBeUndefined();
  expect(await checkpoint.text("chat_template.json")).toBe("{}");
  expect([...asked]).toEqual(["chat_template.json", "model.safetensors"]);
  const none = await openCheckpoint("https://host.test/models/none", {
    fetch: async () => new Response("no", { status: 404 }),
  });
  expect(await none.text("chat_template.jinja")).toBeUndefined();
});
