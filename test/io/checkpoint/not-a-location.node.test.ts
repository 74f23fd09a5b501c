import { expect, test } from "vitest";
import { OptionError } from "../../../src/base/errors.js";
import { openCheckpoint } from "../../../src/io/checkpoint/checkpoint.js";

const file = new File(["{}"], "config.json");

test.each<[string, unknown, string]>([
  ["nothing", undefined, "got undefined — give for example"],
  ["null", null, "got null — give for example"],
  ["a number", 7, "got 7 — give for example"],
  ["an empty text", " ", "got an empty text — give for example"],
  ["a promise", Promise.resolve("models/x"), "got a Promise — await it first"],
  ["options", { dtype: "q8" }, "got an object with the keys dtype — the location comes first, then options: load("],
  ["one file", file, "got one file — give an array of all files"],
  ["names of files", ["config.json"], "got an array — give the folder that holds these files"],
  ["blobs without names", [new Blob(["{}"])], "got an array — give File objects, or Blobs with a name"],
  ["bytes", new Uint8Array(3), "got bytes — give files with names"],
])("%s", async (_, location, message) => {
  const opening = openCheckpoint(location as string);
  await expect(opening).rejects.toThrow(OptionError);
  await expect(opening).rejects.toThrow(message);
});

const status = (code: number) => async () => new Response("", { status: code });

test("a missing folder that reads as a hub id is told both ways", async () => {
  const missing = openCheckpoint("models/nope", { fetch: status(404), offline: false });
  await expect(missing).rejects.toThrow(
    /expected a repository, or the folder models\/nope, got none of that name, .*, and no such folder/,
  );
  await expect(missing).rejects.toThrow(/check the name; .*; for a folder, check the path/);
  const offline = openCheckpoint("models/nope", { offline: true, cacheFolder: "/nowhere" });
  await expect(offline).rejects.toThrow(
    /expected main in .*, or the folder models\/nope, got nothing in the cache, and no such folder/,
  );
  await expect(openCheckpoint("https://huggingface.co/models/nope", { fetch: status(404) })).rejects.not.toThrow(
    "folder",
  );
});

test.each([
  ["./models/nope", "got nothing of that name — create the folder, or give models/nope, without ./"],
  ["models/nope/", "create the folder, or give models/nope"],
  ["llava", "expected a folder, or a hub id (org/name), got nothing of that name — check the path"],
  ["/no/such/folder", "expected a folder, or a hub id (org/name), got nothing of that name — check the path"],
  ["~/models/nope", "shells replace ~ by the home folder, programs use homedir()"],
])("%s", async (path, message) => {
  await expect(openCheckpoint(path)).rejects.toThrow(message);
});
