import { describe, expect, it } from "vitest";
import { OptionError } from "../../../src/base/errors.js";
import { type DtypeByPart, dtypeByPart } from "../../../src/models/llava-onevision/dtype-by-part.js";

const everywhere = <T>(dtype: T) => ({ vision: dtype, projector: dtype, language: dtype, embed: dtype });

describe("dtypeByPart", () => {
  it("takes one type for all parts, which is auto if nothing is said", () => {
    expect(dtypeByPart()).toEqual(everywhere("auto"));
    expect(dtypeByPart("q4")).toEqual(everywhere("q4"));
  });

  it("takes parts one by one and leaves the others to auto", () => {
    expect(dtypeByPart({ language: "q4", embed: "q8" })).toEqual({
      ...everywhere("auto"),
      language: "q4",
      embed: "q8",
    });
    expect(dtypeByPart({})).toEqual(everywhere("auto"));
    expect(dtypeByPart({ vision: undefined } as unknown as Partial<DtypeByPart>)).toEqual(everywhere("auto"));
  });

  it.each<[unknown, string]>([
    ["q5", "dtype of vision: expected auto, f32, f16, bf16, q8, q4, got q5"],
    [null, "dtype of vision: expected auto, f32, f16, bf16, q8, q4, got null"],
    [4, "got 4"],
    [{ embed: "fp99x" }, "dtype of embed: expected auto, f32, f16, bf16, q8, q4, got fp99x"],
    [{ embed: null }, "dtype of embed"],
    [{ langauge: "q4" }, "language"],
  ])("refuses %j", (dtype, message) => {
    const resolve = () => dtypeByPart(dtype as "auto");
    expect(resolve).toThrow(OptionError);
    expect(resolve).toThrow(message);
  });
});
