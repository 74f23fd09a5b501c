/**
 * Decodes token ids to text, one id at a time. A byte-level BPE token is a sequence of bytes, not of characters: a multi-byte character
 * may be split between tokens, so its text is returned only with its last byte.
 */

/** The part of a tokenizer that a {@link TextStream} uses. */
export interface TokenBytes {
  /** Returns the bytes of a token; empty for an unknown id. */
  bytesOf(id: number): Uint8Array;
  /** Whether `decode` omits the token if special tokens are skipped. */
  isSpecial(id: number): boolean;
}

/** Options of decoding. */
export interface DecodeOptions {
  /** Whether to omit special tokens such as `<|im_end|>`; defaults to false. */
  skipSpecialTokens?: boolean;
}

/**
 * The byte of each character of the byte-level alphabet (`bytes_to_unicode` of GPT-2's `encoder.py`): printable Latin-1 characters map to
 * their own byte, U+0100, U+0101, … to the other 68 bytes in ascending order.
 */
const BYTE_OF_LETTER: ReadonlyMap<string, number> = (() => {
  const table = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    table.set(String.fromCharCode(printable ? byte : next++), byte);
  }
  return table;
})();

/** The 256 characters of the byte-level alphabet, in the order of their bytes. */
export const BYTE_LETTERS: readonly string[] = [...BYTE_OF_LETTER.keys()];

/**
 * Returns the bytes of a token of the vocabulary. A token with a character outside the byte-level alphabet (such as an added token with a
 * space) is encoded as UTF-8, as in the reference's ByteLevel decoder.
 */
export function tokenBytes(token: string): Uint8Array {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = BYTE_OF_LETTER.get(token.charAt(i));
    if (byte === undefined) return new TextEncoder().encode(token);
    bytes[i] = byte;
  }
  return bytes;
}

/**
 * Returns a UTF-8 decoder that replaces each maximal ill-formed sequence by U+FFFD, as Python's `errors="replace"` and the reference do.
 * A leading U+FEFF is text, not a byte order mark.
 */
export function newTextDecoder(): TextDecoder {
  return new TextDecoder("utf-8", { ignoreBOM: true });
}

/**
 * Incremental decoder. The concatenated results of `push` and `finish` equal `tokenizer.decode(all ids, options)`. Incomplete characters
 * are buffered until their last byte, so at most three bytes are pending. The cost of `push` depends only on the length of its token.
 */
export class TextStream {
  readonly #tokens: TokenBytes;
  readonly #skipSpecialTokens: boolean;
  readonly #decoder = newTextDecoder();

  constructor(tokens: TokenBytes, options: DecodeOptions = {}) {
    this.#tokens = tokens;
    this.#skipSpecialTokens = options.skipSpecialTokens ?? false;
  }

  /** Appends one id. Returns the text completed by it, possibly empty. */
  push(id: number): string {
    if (this.#skipSpecialTokens && this.#tokens.isSpecial(id)) return "";
    return this.#decoder.decode(this.#tokens.bytesOf(id), { stream: true });
  }

  /** Ends the text: pending bytes become U+FFFD. The stream can then be reused. */
  finish(): string {
    return this.#decoder.decode();
  }
}
