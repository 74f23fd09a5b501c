/** Describes a value of an unexpected type, for error messages. */
export function kindOf(value: unknown): string {
  if (typeof value === "function" || typeof value === "symbol") return `a ${typeof value}`;
  if (typeof value === "string") return value.trim() === "" ? "an empty text" : "a text";
  if (typeof value !== "object" || value === null) return String(value).slice(0, 40);
  if (Array.isArray(value)) return "an array";
  const name = Object.prototype.toString.call(value).slice(8, -1);
  if (name !== "Object") return `${/^[AEIOU]/.test(name) ? "an" : "a"} ${name}`;
  const keys = Object.keys(value).slice(0, 4);
  return `an object with ${keys.length > 0 ? `the keys ${keys.join(", ")}` : "no keys"}`;
}

/** What to do with a value that holds the wanted one, but not yet; undefined for any other. */
export function unwrapping(value: unknown): string | undefined {
  switch (Object.prototype.toString.call(value).slice(8, -1)) {
    case "Promise":
      return "await it first";
    case "Response":
    case "Request":
      return "pass its bytes: await response.blob()";
    case "ReadableStream":
      return "pass its bytes: await new Response(stream).blob()";
    case "FileSystemFileHandle":
      return "pass its file: await handle.getFile()";
    default:
      return undefined;
  }
}
