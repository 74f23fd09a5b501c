import { expect, test } from "vitest";
import { LowRankAdapter } from "../../src/layers/low-rank.js";
import { continuedTargets } from "../../src/models/trained-weights.js";

const LAYOUT = { projector: ["model.mm_projector.0", "model.mm_projector.2"] as const };
const adapter = (modules: string[], replaced: string[]) =>
  new LowRankAdapter("parts", new Map(), { modules, replaced });
const LORA = new Set(["lora"] as const);

test("an adapter that brings the projector is trained with it", () => {
  expect(continuedTargets(new LowRankAdapter("parts", new Map()), LAYOUT, LORA)).toEqual(LORA);
  const whole = adapter([], ["model.mm_projector.0.weight", "model.mm_projector.2.bias"]);
  expect(continuedTargets(whole, LAYOUT, LORA)).toEqual(new Set(["lora", "projector"]));
});

test.each([
  ["model.mm_projector.0", adapter(["model.mm_projector.0"], [])],
  ["model.embed_tokens.weight", adapter([], ["model.mm_projector.0.weight", "model.embed_tokens.weight"])],
  ["model.image_newline", adapter([], ["model.image_newline"])],
])("an adapter that changes %s besides is refused, since a new file would lack it", (name, changed) => {
  expect(() => continuedTargets(changed, LAYOUT, LORA)).toThrow(
    `model.train, adapter parts: expected an adapter of the decoder's layers, with the projector at most, got one that changes ${name}`,
  );
});
