import type { Bytes } from "../../src/io/bytes/bytes.js";
import { sha256 } from "./pixels.js";

/** One way in which a program holds the bytes of a file. */
export interface ByteForm {
  readonly name: string;
  readonly bytes: Bytes;
  /** SHA-256 of the whole memory that the bytes lie in; throws if it was transferred away. */
  memory(): Promise<string>;
}

/** What lies around the bytes in a larger buffer. */
const BEFORE = 101;
const AROUND = 0xa5;

/** Every holder of bytes of the runtime: those of browsers, and in Node a Buffer too. */
export function byteForms(file: Uint8Array): ByteForm[] {
  const within = (buffer: ArrayBufferLike): Uint8Array => {
    new Uint8Array(buffer).fill(AROUND);
    const view = new Uint8Array(buffer, BEFORE, file.length);
    view.set(file);
    return view;
  };
  const size = BEFORE + file.length + 50;
  const odd = within(new ArrayBuffer(size));
  // A page that is not cross-origin isolated has no SharedArrayBuffer by name, but the memory of WebAssembly.
  const pages = Math.ceil(size / 65536);
  const shared = within(new WebAssembly.Memory({ shared: true, initial: pages, maximum: pages }).buffer);
  const forms: Record<string, Bytes> = {
    "Uint8Array at an odd offset": odd,
    Uint8ClampedArray: new Uint8ClampedArray(file),
    Int8Array: new Int8Array(within(new ArrayBuffer(size)).buffer, BEFORE, file.length),
    DataView: new DataView(within(new ArrayBuffer(size)).buffer, BEFORE, file.length),
    ArrayBuffer: new Uint8Array(file).buffer,
    "view of a SharedArrayBuffer": shared,
  };
  const Resizable = ArrayBuffer as unknown as new (size: number, options: { maxByteLength: number }) => ArrayBuffer;
  if ("resizable" in ArrayBuffer.prototype) {
    forms["view of a resizable ArrayBuffer"] = within(new Resizable(size, { maxByteLength: size * 2 }));
  }
  if (typeof SharedArrayBuffer !== "undefined") {
    const whole = new SharedArrayBuffer(file.length);
    new Uint8Array(whole).set(file);
    forms.SharedArrayBuffer = whole;
  }
  if (typeof Buffer !== "undefined") {
    forms["Buffer of its own"] = Buffer.from(new Uint8Array(file).buffer);
    forms["Buffer within another"] = Buffer.concat([Buffer.alloc(BEFORE, AROUND), file, Buffer.alloc(50)]).subarray(
      BEFORE,
      BEFORE + file.length,
    );
    forms["Buffer of shared memory"] = Buffer.from(within(shared.buffer.slice(0)).buffer, BEFORE, file.length);
  }
  return Object.entries(forms).map(([name, bytes]) => {
    const buffer = ArrayBuffer.isView(bytes) ? bytes.buffer : bytes;
    return { name, bytes, memory: () => sha256(new Uint8Array(buffer)) };
  });
}
