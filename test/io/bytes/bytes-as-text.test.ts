import { expect, test } from "vitest";
import { bytesAsText } from "../../../src/io/bytes/bytes-as-text.js";

const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ";

test.each<[string, string, string]>([
  ["a PNG in base64", PNG, "data:image/png;base64,"],
  ["a JPEG in base64", "/9j/4AAQSkZJRgABAQEASABIAAD", "data:image/jpeg;base64,"],
  ["an MP4 in base64", "AAAAIGZ0eXBpc29tAAACAGlzb21pc28y", "data:video/mp4;base64,"],
  ["long base64 with line ends", `${"QUJD".repeat(19)}\n`.repeat(60), "data:image/png;base64,"],
  ["a data: URL without its scheme", `image/png;base64,${PNG}`, "write data:image/png;base64,"],
  ["bytes read as text", "\ufffdPNG\r\n\u001a\n\0\0\0\rIHDR", "without an encoding"],
])("%s", (_, text, remedy) => {
  const error = bytesAsText(text, text, undefined);
  expect(error?.fault.remedy).toContain(remedy);
  expect(error?.fault.where.length).toBeLessThan(60);
  expect(bytesAsText(text, "image 1", undefined)?.message).toMatch(/^image 1: expected a path, a URL, or the bytes/);
});

test.each(["photo.jpg", "/9j/photo.jpg", "pictures/iVBORw0KGgo.png", "AAAA", "über den Wolken.png", ""])(
  "%s is a path",
  (path) => {
    expect(bytesAsText(path, "image 1", undefined)).toBeUndefined();
  },
);
