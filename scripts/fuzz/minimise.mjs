// Makes an input smaller as long as its fault stays.

/** Most executions for one find. */
const MOST_TRIES = 400;

/** Returns a smaller input with the same fault. */
export async function minimised({ kind }, input, { fault, detail }, execute) {
  const first = detail.slice(0, 40).replace(/\d+/g, "#");
  let tries = 0;
  const still = async (smaller) => {
    if (++tries > MOST_TRIES) return false;
    const found = await execute(smaller);
    return found?.fault === fault && (fault !== "untyped" || found.detail.slice(0, 40).replace(/\d+/g, "#") === first);
  };
  if (fault === "slow") return input;
  let small = input;
  if (kind === "json") {
    for (let changed = true; changed && tries <= MOST_TRIES; ) {
      changed = false;
      for (const smaller of withoutParts(small)) {
        if (!(await still(smaller))) continue;
        small = smaller;
        changed = true;
        break;
      }
    }
    return small;
  }
  for (let size = small.length >> 1; size >= 1 && tries <= MOST_TRIES; size >>= 1) {
    for (let at = 0; at < small.length; ) {
      const smaller =
        kind === "bytes"
          ? Buffer.concat([small.subarray(0, at), small.subarray(at + size)])
          : small.slice(0, at) + small.slice(at + size);
      if (await still(smaller)) small = smaller;
      else at += size;
      if (tries > MOST_TRIES) break;
    }
  }
  return small;
}

/** The value without each of its parts, and each part alone. */
function* withoutParts(value) {
  if (typeof value !== "object" || value === null) return;
  for (const key of Object.keys(value)) {
    const copy = structuredClone(value);
    if (Array.isArray(copy)) copy.splice(Number(key), 1);
    else delete copy[key];
    yield copy;
  }
  for (const key of Object.keys(value)) {
    for (const inner of withoutParts(value[key])) {
      const copy = structuredClone(value);
      copy[key] = inner;
      yield copy;
    }
  }
}
