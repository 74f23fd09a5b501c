import { readFixtureJson } from "./fixture.js";

const samples = await readFixtureJson<Record<string, { data: string }>>("pictures/pictures.json");

/** A picture of `test/data/pictures/pictures.json`; throws for a name that is not there. */
export function samplePicture(name: string): Uint8Array<ArrayBuffer> {
  const sample = samples[name];
  if (!sample) throw new Error(`pictures.json: expected a picture ${name}, got none`);
  return Uint8Array.from(atob(sample.data), (letter) => letter.charCodeAt(0));
}
