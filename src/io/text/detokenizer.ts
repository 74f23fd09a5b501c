/**
 * From token ids back to text, one id at a time. A byte-level BPE token is a run of bytes, not of characters: a character
 * of several bytes may be spread over several tokens, so text can only be handed out once its last byte is known.
 */

/** The part of a tokenizer that a {@link TextStream} uses. */
export interface TokenBytes {
  /** The bytes of a token; empty for an id without a token. */
  bytesOf(id: number): Uint8Array;
  /** Whether `decode` leaves the token out when special tokens are skipped. */
  isSpecial(id: number): boolean;
}

/** Options of decoding. */
export interface DecodeOptions {
  /** Leave special tokens such as `<|im_end|>` out. Default false. */
  skipSpecialTokens?: boolean;
}

/**
 * The byte of every letter of the byte-level alphabet (GPT-2's table): printable Latin-1 stands for itself,
 * the other 68 bytes are U+0100, U+0101, … in order of their value.
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

/** The 256 letters of the byte-level alphabet, in the order of the bytes they stand for. */
export const BYTE_LETTERS: readonly string[] = [...BYTE_OF_LETTER.keys()];

/**
 * The bytes a token of the vocabulary stands for. A token with a letter outside the byte-level alphabet (an added token
 * with a space, say) is its own UTF-8, as in the reference's ByteLevel decoder.
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
 * UTF-8 to text with U+FFFD for what is not UTF-8, one for every maximal ill-formed part: what Python's
 * `errors="replace"` and the reference do. A leading U+FEFF is text, not a byte order mark.
 */
export function newTextDecoder(): TextDecoder {
  return new TextDecoder("utf-8", { ignoreBOM: true });
}

/**
 * Text of a growing list of ids. The pieces returned by `push` and `finish` joined together equal
 * `tokenizer.decode(all ids, options)`; a character is held back until its last byte has come, so at most three bytes wait.
 * Each `push` costs the length of its token, however long the text has become.
 */
export class TextStream {
  readonly #tokens: TokenBytes;
  readonly #skipSpecialTokens: boolean;
  readonly #decoder = newTextDecoder();

  constructor(tokens: TokenBytes, options: DecodeOptions = {}) {
    this.#tokens = tokens;
    this.#skipSpecialTokens = options.skipSpecialTokens ?? false;
  }

  /** Adds one id and returns the text that is complete; it may be empty. */
  push(id: number): string {
    if (this.#skipSpecialTokens && this.#tokens.isSpecial(id)) return "";
    return this.#decoder.decode(this.#tokens.bytesOf(id), { stream: true });
  }

  /** Ends the text: bytes still held back become U+FFFD. The stream is then as new. */
  finish(): string {
    return this.#decoder.decode();
  }
}
