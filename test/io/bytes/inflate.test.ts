import { describe, expect, it } from "vitest";
import { inflateInto } from "../../../src/io/bytes/inflate.js";

async function deflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Repeats and noise: codes of all kinds. */
const plain = Uint8Array.from({ length: 70_000 }, (_, i) => (i % 1000 < 700 ? i % 7 : (i * 2654435761) >>> 24));

describe("inflateInto", () => {
  it("inflates what the runtime deflates", async () => {
    const out = new Uint8Array(plain.length);
    expect(inflateInto(await deflate(plain), out)).toEqual({ filled: plain.length, outcome: "ended" });
    expect(out).toEqual(plain);
  });

  it("distinguishes truncated from corrupt streams and returns the bytes before", async () => {
    const stream = await deflate(plain);
    const out = new Uint8Array(plain.length);
    const cut = inflateInto(stream.slice(0, stream.length >> 1), out);
    expect(cut.outcome).toBe("cut");
    expect(cut.filled).toBeGreaterThan(1000);
    expect(out.slice(0, cut.filled)).toEqual(plain.slice(0, cut.filled));
    const wrongSum = stream.slice();
    wrongSum[stream.length - 1]! ^= 1;
    expect(inflateInto(wrongSum, out)).toEqual({ filled: plain.length, outcome: "broken" });
    expect(inflateInto(Uint8Array.of(1, 2, 3, 4), out)).toEqual({ filled: 0, outcome: "broken" });
  });

  it("stops where there is no more room", async () => {
    const out = new Uint8Array(100);
    expect(inflateInto(await deflate(plain), out)).toEqual({ filled: 100, outcome: "full" });
    expect(out).toEqual(plain.slice(0, 100));
  });
});
