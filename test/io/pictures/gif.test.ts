import { describe, expect, it } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { decodeGif, openGif } from "../../../src/io/pictures/gif.js";
import { BLUE, frame, GREEN, gif, RED, WHITE } from "../../support/gif.js";

describe("decodeGif", () => {
  it("grows the screen to its first frame and fills what is left with the first colour", () => {
    const bytes = gif(2, 3, frame([1, 2, 1], { left: 1 }));
    expect([...decodeGif(bytes, "x").data]).toEqual([RED, GREEN, BLUE, GREEN].flat());
  });

  it("gives transparent pixels the colour of their index", () => {
    const bytes = gif(3, 0, frame([2, 1], { transparent: 2 }));
    expect([...decodeGif(bytes, "x").data]).toEqual([BLUE, GREEN, BLUE].flat());
  });

  it("refuses codes that end too soon", () => {
    const bytes = gif(2, 0, frame([1, 2]));
    for (const length of [12, 20, bytes.length - 4])
      expect(() => decodeGif(bytes.slice(0, length), "x")).toThrow(MediaError);
  });
});

describe("openGif", () => {
  const rows = async (bytes: Uint8Array) => {
    const animation = openGif(bytes, "x", 1000);
    const count = animation.durationsMilliseconds.length;
    return Promise.all(Array.from({ length: count }, async (_, i) => [...(await animation.picture(i)).data]));
  };

  it("puts frames together by their disposal", async () => {
    const second = frame([3], { left: 1, transparent: 0 });
    const first = [1, 2, 1];
    const left = [GREEN, WHITE, GREEN].flat();
    expect((await rows(gif(3, 3, frame(first), second)))[1]).toEqual(left);
    // 2 clears to the background colour, 3 of a first frame without transparency leaves it.
    expect((await rows(gif(3, 2, frame(first, { disposal: 2 }), second)))[1]).toEqual([BLUE, WHITE, BLUE].flat());
    expect((await rows(gif(3, 2, frame(first, { disposal: 3 }), second)))[1]).toEqual(left);
    const restored = gif(3, 2, frame(first), frame([3, 3, 3], { disposal: 3 }), frame([0], { left: 2 }));
    expect((await rows(restored))[2]).toEqual([GREEN, BLUE, RED].flat());
  });

  it("goes back to a picture that was given", async () => {
    const bytes = gif(1, 0, frame([1]), frame([2]));
    const animation = openGif(bytes, "x", 1000);
    expect([...(await animation.picture(1)).data]).toEqual(BLUE);
    expect([...(await animation.picture(0)).data]).toEqual(GREEN);
  });

  it("bounds the screen", () => {
    expect(() => openGif(gif(200, 0, frame([1])), "x", 100)).toThrow(MediaError);
  });
});
