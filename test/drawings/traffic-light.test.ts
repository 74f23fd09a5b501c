import { expect, test } from "vitest";
import { trafficLightDrawing } from "../../src/drawings/traffic-light.js";

test("a traffic light says what its lit lamp does, and is drawn alike from the same seed", () => {
  const said = new Set<string>();
  for (let seed = 0; seed < 40; seed++) {
    const { pictures, turns, kind } = trafficLightDrawing(seed);
    expect([kind, pictures.length, turns.length]).toEqual(["traffic light", 1, 1]);
    expect(turns[0]!.question).toBe("What color is the light?");
    said.add(turns[0]!.answer);
  }
  expect([...said].sort()).toEqual(["The light is green.", "The light is red.", "The light is yellow."]);
  expect(trafficLightDrawing(5)).toEqual(trafficLightDrawing(5));
});
