import { expect, test } from "vitest";
import { linesOf } from "../../src/cli/lines.js";

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

test("lines keep their numbers and places, however the bytes come", async () => {
  const file = Buffer.from('\ufeff{"a":1}\r\n\r\n \t\n{"b":"\u2028é"}\nlast');
  for (const size of [1, 3, 1000]) {
    const lines: unknown[] = [];
    for await (const { number, offsetBytes, bytes } of linesOf(pieces(file, size), "f")) {
      lines.push([number, offsetBytes, new TextDecoder().decode(bytes)]);
    }
    expect(lines).toEqual([
      [1, 0, '{"a":1}'],
      [4, file.indexOf('{"b"'), '{"b":"\u2028é"}'],
      [5, file.indexOf("last"), "last"],
    ]);
  }
});

test("UTF-16 is refused as a whole", async () => {
  const file = Buffer.from("\ufeff{}\n{}\n", "utf16le");
  await expect(linesOf(pieces(file, 1000), "in.jsonl").next()).rejects.toThrow(
    "in.jsonl: expected UTF-8 text, got UTF-16",
  );
});
