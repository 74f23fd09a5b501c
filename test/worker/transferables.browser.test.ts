import { describe, expect, test } from "vitest";
import { MediaError } from "../../src/base/errors.js";
import { type PictureInput, readPicture } from "../../src/io/pictures/picture-input.js";
import { ReceivedMedia } from "../../src/worker/received.js";
import { type TransferableOptions, Transferables } from "../../src/worker/transferables.js";
import { readFixture } from "../support/fixture.js";
import { testPicture } from "../support/pixels.js";

// Pictures that only a browser holds: a worker gets the pixels that are read without one.

async function cross(image: PictureInput, options: TransferableOptions = {}): Promise<unknown> {
  const parcel = new Transferables(options);
  const input = await parcel.input([{ type: "image", image }], () => 7);
  const sent = structuredClone(input, { transfer: parcel.transfer });
  const [part] = (await new ReceivedMedia().input(sent, options)) as { image: unknown }[];
  return part!.image;
}

/** What a session in the worker reads is what one in the page would. */
async function same(image: PictureInput, options: TransferableOptions = {}): Promise<void> {
  const received = (await cross(image, options)) as PictureInput;
  expect(await readPicture(received, "picture", options)).toEqual(await readPicture(image, "picture", options));
}

/** Every value of alpha, and colours under it. */
function withAlpha(width: number, height: number): ImageData {
  const { data } = testPicture(width, height);
  const rgba = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) rgba.data.set([...data.subarray(i * 3, i * 3 + 3), i % 256], i * 4);
  return rgba;
}

function frame(rotation = 0): VideoFrame {
  const data = Uint8Array.from({ length: 16 * 8 * 4 }, (_, i) => (i % 4 === 3 ? 255 : i % 251));
  const init = { format: "RGBA", codedWidth: 16, codedHeight: 8, timestamp: 0, rotation } as const;
  return new VideoFrame(data, init as VideoFrameBufferInit);
}

describe("a picture in a worker is the one of the page", () => {
  test("an ImageData", () => same(withAlpha(17, 33)));

  test.each(["none", "premultiply"] as const)(
    "an ImageBitmap, alpha: %s, which stays open",
    async (premultiplyAlpha) => {
      const bitmap = await createImageBitmap(withAlpha(40, 21), { colorSpaceConversion: "none", premultiplyAlpha });
      await same(bitmap);
      expect(bitmap.width).toBe(40);
      bitmap.close();
      await expect(cross(bitmap)).rejects.toThrow(MediaError);
    },
  );

  test.each([
    ["an OffscreenCanvas", () => new OffscreenCanvas(64, 16)],
    ["a canvas element", () => Object.assign(document.createElement("canvas"), { width: 64, height: 16 })],
  ])("%s, as it is at the time of the call", async (_, make) => {
    const canvas = make();
    const context = canvas.getContext("2d") as CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;
    context.putImageData(withAlpha(64, 16), 0, 0);
    await same(canvas);
    const { data } = await readPicture(canvas, "picture");
    const coming = cross(canvas);
    context.clearRect(0, 0, 64, 16);
    expect(await coming).toMatchObject({ data });
  });

  test("an image element", async () => {
    const file = await readFixture("../../models/tiny/examples/00-shapes.png");
    const image = new Image();
    image.src = URL.createObjectURL(new Blob([new Uint8Array(file)], { type: "image/png" }));
    await same(image);
    await expect(cross(new Image())).rejects.toThrow(MediaError);
    await expect(cross(document.createElement("p") as unknown as PictureInput)).rejects.toThrow(MediaError);
  });

  test("a VideoFrame, turned or not, which stays open", async () => {
    for (const orientation of ["apply", "ignore"] as const) {
      const turned = frame(90);
      await same(turned, { orientation });
      expect(turned.format).not.toBeNull();
      turned.close();
    }
    const closed = frame();
    closed.close();
    await expect(cross(closed)).rejects.toThrow(MediaError);
  });

  test("a bitmap and a frame that are given away", async () => {
    const bitmap = await createImageBitmap(withAlpha(9, 5));
    const still = frame();
    const expected = await Promise.all([bitmap, still].map((picture) => readPicture(picture, "picture")));
    expect(await cross(bitmap, { transfer: [bitmap] })).toMatchObject({ data: expected[0]!.data });
    expect(await cross(still, { transfer: [still] })).toMatchObject({ data: expected[1]!.data });
    expect(bitmap.width).toBe(0);
    expect(still.format).toBeNull();
  });
});
