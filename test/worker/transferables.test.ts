import { describe, expect, test } from "vitest";
import { MediaError, OptionError } from "../../src/base/errors.js";
import { bytesSource } from "../../src/io/bytes/source.js";
import type { SentMedium } from "../../src/worker/messages.js";
import { ReceivedMedia, receiveLocation } from "../../src/worker/received.js";
import { sendLocation, sendOptions, type TransferableOptions, Transferables } from "../../src/worker/transferables.js";

// What a page sends and a worker receives, through a structured clone.

/** One part on its way, as the worker gets it, and how many bytes were transferred. */
async function cross(part: unknown, options: TransferableOptions = {}): Promise<Record<string, unknown>> {
  const parcel = new Transferables(options);
  const sent = structuredClone(await parcel.input([part], () => 7), { transfer: parcel.transfer });
  const [received] = (await new ReceivedMedia().input(sent, {})) as Record<string, unknown>[];
  return received!;
}

describe("what is copied", () => {
  test("bytes: those in view, and the caller keeps its own", async () => {
    const file = new Uint8Array(1000).map((_, i) => i);
    const { image } = await cross({ type: "image", image: file.subarray(100, 110) });
    expect(image).toEqual(file.subarray(100, 110));
    expect((image as Uint8Array).buffer.byteLength).toBe(10);
    expect(file.byteLength).toBe(1000);
    expect((await cross({ type: "image", image: file.buffer })).image).toEqual(file.buffer);
    expect(file.byteLength).toBe(1000);
  });

  test("bytes at the time of the call", async () => {
    const bytes = Uint8Array.of(1, 2, 3);
    const coming = cross({ type: "video", video: bytes });
    bytes.fill(0);
    expect((await coming).video).toEqual(Uint8Array.of(1, 2, 3));
  });

  test("pixels, RGB and RGBA", async () => {
    for (const data of [new Uint8Array(12).fill(5), new Uint8ClampedArray(16).fill(6)]) {
      const { image } = await cross({ type: "image", image: { data, width: 2, height: 2 } });
      expect(image).toEqual({ data: Uint8Array.from(data), width: 2, height: 2 });
      expect(data.byteLength).toBeGreaterThan(0);
    }
  });

  test("paths, addresses and files", async () => {
    expect((await cross({ type: "image", image: "a.png" })).image).toBe("a.png");
    expect((await cross({ type: "image", image: new URL("https://host/a b.png") })).image).toBe(
      "https://host/a%20b.png",
    );
    const { video } = await cross({ type: "video", video: new File(["clip"], "clip.mp4"), frames: 3 });
    expect(await (video as Blob).text()).toBe("clip");
  });

  test("frames of an array and of an iterable", async () => {
    const frames = [Uint8Array.of(1), "two.png", new URL("file:///three.png")];
    const expected = [Uint8Array.of(1), "two.png", "file:///three.png"];
    async function* stream() {
      yield* frames;
    }
    expect(await cross({ type: "video", frames })).toEqual({ type: "video", frames: expected });
    expect(await cross({ type: "video", video: frames })).toEqual({ type: "video", video: expected });
    expect(await cross({ type: "video", video: stream(), frames: 2 })).toEqual({
      type: "video",
      video: expected,
      frames: 2,
    });
  });
});

describe("what is given away", () => {
  const given = (bytes = 12) => new Uint8Array(bytes).fill(9).buffer;

  test("a buffer, and views of it", async () => {
    const [whole, seen] = [given(), given()];
    expect((await cross({ type: "image", image: whole }, { transfer: [whole] })).image).toEqual(given());
    const view = new Uint8Array(seen, 4);
    const received = (await cross({ type: "video", video: view }, { transfer: [seen] })).video as Uint8Array;
    expect([received.length, received[0], received.buffer.byteLength]).toEqual([8, 9, 12]);
    expect([whole.byteLength, seen.byteLength]).toEqual([0, 0]);
  });

  test("pixels", async () => {
    const buffer = given();
    const image = { data: new Uint8Array(buffer), width: 2, height: 2 };
    const received = await cross({ type: "image", image }, { transfer: [buffer] });
    expect(received.image).toEqual({ data: new Uint8Array(12).fill(9), width: 2, height: 2 });
    expect(buffer.byteLength).toBe(0);
  });
});

describe("what stays what it is", () => {
  test("texts, parts without media and wrong values", async () => {
    for (const part of [
      { type: "text", text: "Hello!" },
      { type: "audio", audio: "a.mp3" },
      { type: "image" },
      "words",
      null,
      12,
    ]) {
      expect(await cross(part)).toEqual(part);
    }
    expect(await new Transferables().input("Hello!", () => 0)).toBe("Hello!");
    expect(await new Transferables().input(undefined, () => 0)).toBe(undefined);
    expect(await cross({ type: "image", image: 12 })).toEqual({ type: "image", image: 12 });
    expect(await cross({ type: "image", image: "a.png", detail: "high" })).toMatchObject({ detail: "high" });
  });

  test("messages, whose media are numbered one by one", async () => {
    let refs = 0;
    const [image, text] = [
      { type: "image", image: "a.png" },
      { type: "text", text: "What?" },
    ];
    const video = { type: "video", video: "b.mp4" };
    const messages = [
      { role: "system", content: "Be brief." },
      { role: "user", content: [image, text] },
      { role: "user", content: [video] },
    ];
    const sent = (await new Transferables().input(messages, () => ++refs)) as { content: unknown }[];
    expect(sent.map(({ content }) => content)).toEqual([
      "Be brief.",
      [{ ref: 1, part: image! }, text],
      [{ ref: 2, part: video }] satisfies SentMedium[],
    ]);
    expect(await new ReceivedMedia().input(sent, {})).toEqual(messages);
  });
});

describe("what cannot be sent", () => {
  test("a source of bytes with functions of the page", async () => {
    const source = bytesSource(Uint8Array.of(1), "clip");
    await expect(cross({ type: "video", video: source })).rejects.toThrow(OptionError);
  });

  test("what is no picture, with the words of the session", async () => {
    await expect(cross({ type: "image", image: { pixels: [] } })).rejects.toThrow(MediaError);
    await expect(cross({ type: "image", image: [] })).rejects.toThrow(/image 1/);
    await expect(cross({ type: "image", image: new Map() })).rejects.toThrow(/got a Map/);
  });
});

describe("a checkpoint's place", () => {
  test("paths and addresses", () => {
    expect(receiveLocation(structuredClone(sendLocation("models/tiny")))).toBe("models/tiny");
    expect(receiveLocation(structuredClone(sendLocation(new URL("https://host/model"))))).toBe("https://host/model");
  });

  test("files keep their names and the folder that they were chosen with", async () => {
    const chosen = Object.defineProperty(new File(["b"], "b.json"), "webkitRelativePath", { value: "tiny/sub/b.json" });
    const files = { 0: new File(["a"], "a.json"), 1: chosen, length: 2 };
    const received = receiveLocation(structuredClone(sendLocation(files))) as (typeof files)[0][];
    expect(received.map(({ name }) => name)).toEqual(["a.json", "b.json"]);
    expect(received[1]!.webkitRelativePath).toBe("tiny/sub/b.json");
    expect(await received[0]!.text()).toBe("a");
  });
});

describe("options", () => {
  test("functions and signals stay in the page", () => {
    const { signal } = new AbortController();
    const schema = { type: "object" };
    expect(sendOptions("here", { signal, onProgress: () => {}, seed: 3, schema, transfer: [] }, {})).toEqual({
      values: { seed: 3, schema },
      callbacks: ["onProgress"],
      signal: true,
    });
    expect(sendOptions("here", { signal: undefined, onProgress: undefined }, {})).toEqual({
      values: { onProgress: undefined },
      callbacks: [],
      signal: false,
    });
  });

  test("some are refused, with what to do", () => {
    const refused = { onTaps: "look at them in the worker" };
    expect(() => sendOptions("here", { onTaps: () => {} }, refused)).toThrow(/`onTaps`.*look at them in the worker/);
    expect(sendOptions("here", { onTaps: undefined }, refused).callbacks).toEqual([]);
  });
});
