// Mutations of inputs, from a seed: the same seed and corpus give the same input.

/** Numbers at the edges of what formats count with. */
const EDGES = [0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 1023, 4096, 32767, 32768, 65535, 65536];
const WIDE = [...EDGES, 2 ** 22, 2 ** 24, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];

/** A generator of numbers from 0 to 1 (mulberry32). */
export function random(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Returns a mutated copy: one to four mutations of bytes, words of the format and parts of another input. */
export function mutateBytes(bytes, next, { others, words, most }) {
  let out = Buffer.from(bytes);
  const below = (n) => Math.floor(next() * n);
  const pick = (list) => list[below(list.length)];
  for (let times = 1 + below(4); times > 0; times--) {
    const at = below(out.length + 1);
    const length = 1 + below(Math.max(1, Math.min(out.length - at, 1 << below(9))));
    switch (below(9)) {
      case 0:
        if (at < out.length) out[at] ^= 1 << below(8);
        break;
      case 1:
        if (at < out.length) out[at] = pick(EDGES) & 255;
        break;
      case 2: {
        const size = pick([2, 4, 4, 4, 8]);
        if (at + size > out.length) break;
        const value = next() < 0.3 ? out.length - at + below(9) - 4 : pick(WIDE);
        const written = Buffer.alloc(8);
        written.writeBigUInt64BE(BigInt(Math.max(0, value)));
        const part = written.subarray(8 - size);
        out.set(next() < 0.5 ? part : part.reverse(), at);
        break;
      }
      case 3:
        out = Buffer.concat([out.subarray(0, at), out.subarray(at + length)]);
        break;
      case 4:
        out = Buffer.concat([out.subarray(0, at), out.subarray(at, at + length), out.subarray(at)]);
        break;
      case 5: {
        const other = pick(others);
        const from = below(other.length);
        const part = other.subarray(from, from + length);
        out = Buffer.concat([out.subarray(0, at), part, out.subarray(next() < 0.5 ? at : at + part.length)]);
        break;
      }
      case 6: {
        const word = Buffer.from(pick(words), "latin1");
        out = Buffer.concat([out.subarray(0, at), word, out.subarray(next() < 0.5 ? at : at + word.length)]);
        break;
      }
      case 7:
        for (let i = at; i < Math.min(out.length, at + length); i++) out[i] = below(256);
        break;
      default:
        out = out.subarray(0, at);
    }
  }
  return out.subarray(0, most);
}

/** Returns a mutated copy of a JSON value: values, keys and whole parts change places, repeat, nest or become extreme. */
export function mutateJson(value, next, { others, words, most }) {
  const below = (n) => Math.floor(next() * n);
  const pick = (list) => list[below(list.length)];
  const scalar = () =>
    pick([
      null,
      true,
      false,
      "",
      pick(words),
      pick(words),
      pick(words).repeat(1 + below(20)),
      pick(WIDE),
      -pick(WIDE),
      next() * 100,
      1e300,
      [],
      {},
      "\ud800",
      "__proto__",
    ]);
  const copy = structuredClone(value);
  for (let times = 1 + below(3); times > 0; times--) {
    const places = placesIn(copy);
    if (places.length === 0) return scalar();
    const [holder, key] = pick(places);
    const other = placesIn(pick(others));
    switch (below(8)) {
      case 0:
      case 1:
        holder[key] = scalar();
        break;
      case 2:
        if (other.length > 0) {
          const [from, name] = pick(other);
          holder[key] = structuredClone(from[name]);
        }
        break;
      case 3:
        if (Array.isArray(holder)) holder.splice(Number(key), 1);
        else delete holder[key];
        break;
      case 4:
        if (Array.isArray(holder))
          holder.push(...Array.from({ length: 1 + below(50) }, () => structuredClone(holder[key])));
        else set(holder, pick(words), structuredClone(holder[key]));
        break;
      case 5:
        for (let depth = 1 + below(next() < 0.05 ? 400 : 6); depth > 0; depth--) {
          holder[key] = next() < 0.5 ? [holder[key]] : { [pick(words)]: holder[key] };
        }
        break;
      case 6:
        if (typeof holder[key] === "number") holder[key] = holder[key] * pick([-1, 2, 0.5, 1000]) + pick([0, 1, -1]);
        else if (typeof holder[key] === "string") {
          holder[key] = mutateText(holder[key], next, { others: [pick(words)], words, most: 4096 });
        } else holder[key] = scalar();
        break;
      default:
        if (typeof holder === "object" && !Array.isArray(holder)) set(holder, pick(words), scalar());
    }
  }
  // Copies of copies would grow without end.
  return JSON.stringify(copy).length > most ? value : copy;
}

/** Returns a mutated copy of a text. */
export function mutateText(text, next, { others, words, most }) {
  const below = (n) => Math.floor(next() * n);
  const pick = (list) => list[below(list.length)];
  let out = text;
  for (let times = 1 + below(4); times > 0; times--) {
    const at = below(out.length + 1);
    const length = 1 + below(1 << below(7));
    const part = out.slice(at, at + length);
    const rest = out.slice(at + (next() < 0.5 ? length : 0));
    switch (below(6)) {
      case 0:
        out = out.slice(0, at) + out.slice(at + length);
        break;
      case 1:
        out = out.slice(0, at) + part.repeat(1 + below(next() < 0.05 ? 300 : 4)) + out.slice(at);
        break;
      case 2:
      case 3:
        out = out.slice(0, at) + pick(words) + rest;
        break;
      case 4: {
        const other = pick(others);
        const from = below(other.length + 1);
        out = out.slice(0, at) + other.slice(from, from + length) + rest;
        break;
      }
      default:
        out =
          out.slice(0, at) +
          String.fromCodePoint(pick([0, 9, 10, 34, 92, 65, 0x7f, 0xe9, 0x2028, 0xd800, 0x1f600])) +
          rest;
    }
  }
  return out.slice(0, most);
}

function placesIn(value, found = [], depth = 0) {
  if (typeof value !== "object" || value === null || depth > 60 || found.length > 2000) return found;
  for (const key of Object.keys(value)) {
    found.push([value, key]);
    placesIn(value[key], found, depth + 1);
  }
  return found;
}

function set(object, name, value) {
  Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
}
