import { expect, test } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import { checkLoadOptions, type LoadOptions } from "../../src/models/load-options.js";

test("sizes of caches are numbers of bytes, and rows are whole numbers above 0", () => {
  for (const options of [
    {},
    { visionCacheBytes: 0, prefixCacheBytes: 0 },
    { prefixCacheBytes: 2 ** 30, prefillRows: 1 },
  ])
    expect(() => checkLoadOptions(options)).not.toThrow();
  const wrong: [LoadOptions, RegExp][] = [
    [{ prefixCacheBytes: -1 }, /LlavaOneVision.load, prefixCacheBytes: expected a number of bytes, 0 or above, got -1/],
    [{ visionCacheBytes: Number.NaN }, /visionCacheBytes: expected a number of bytes/],
    [{ prefillRows: 0.5 }, /prefillRows: expected a whole number above 0, got 0.5/],
    [{ prefixCacheByte: 1 } as LoadOptions, /did you mean `prefixCacheBytes`/],
  ];
  for (const [options, message] of wrong) {
    expect(() => checkLoadOptions(options)).toThrow(OptionError);
    expect(() => checkLoadOptions(options)).toThrow(message);
  }
});
