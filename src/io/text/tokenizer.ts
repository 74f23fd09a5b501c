/** The checkpoint's byte-level BPE tokenizer (Qwen2's; BPE as in GPT-2), identical to the reference. */
import { Tokenizer as BpeTokenizer } from "@huggingface/tokenizers";
import { causeMessage } from "../../base/cause-message.js";
import { CheckpointError } from "../../base/errors.js";
import { concatBytes } from "../bytes/bytes.js";
import { AddedTokens } from "./added-tokens.js";
import { type DecodeOptions, newTextDecoder, tokenBytes } from "./detokenizer.js";
import { parseJson } from "./json.js";
import { checkTokenizerJson, mergeAddedTokens, type TokenizerJson } from "./tokenizer-files.js";

/** The parsed tokenizer files of a checkpoint. */
export interface TokenizerFiles {
  /** `tokenizer.json`. */
  tokenizer: unknown;
  /** `tokenizer_config.json`: adds the tokens of its `added_tokens_decoder`. */
  tokenizerConfig?: unknown;
  /** `added_tokens.json`: adds tokens that the other files lack. */
  addedTokens?: unknown;
}

/**
 * Byte-level BPE (GPT-2; Sennrich et al., arXiv 1508.07909) with added tokens. `clean_up_tokenization_spaces` is not applied: no
 * checkpoint of the family sets it, and it cannot be applied to streamed text.
 */
export class Tokenizer {
  /** The highest id plus one; the embedding table may have more rows. */
  readonly size: number;
  /** The BPE without added tokens. */
  readonly #bpe: BpeTokenizer;
  readonly #added: AddedTokens;
  readonly #addedIds: ReadonlyMap<string, number>;
  readonly #tokenOf: readonly (string | undefined)[];
  readonly #special: ReadonlySet<number>;
  /** Cache of token bytes: an answer uses a few hundred of 150,000 tokens. */
  readonly #bytes: (Uint8Array | undefined)[] = [];

  /** @throws CheckpointError naming the file, for missing fields, wrong types, and other kinds of tokenizers. */
  constructor(files: TokenizerFiles) {
    const json = checkTokenizerJson(files.tokenizer);
    const added = mergeAddedTokens(json, files.tokenizerConfig, files.addedTokens);
    this.#bpe = buildBpe(json);
    const { normalizer } = this.#bpe;
    this.#added = new AddedTokens(added, (text) => normalizer?.normalize(text) ?? text);
    this.#addedIds = new Map(added.map(({ content, id }) => [content, id]));

    const idOf = new Map(Object.entries(json.vocab));
    for (const token of added) idOf.set(token.content, token.id);
    const tokenOf: (string | undefined)[] = [];
    for (const [token, id] of idOf) tokenOf[id] = token;
    this.#tokenOf = tokenOf;
    this.#special = new Set(added.filter((token) => token.special).map((token) => token.id));
    this.size = tokenOf.length;
  }

  /**
   * Parses the files' text.
   * @throws CheckpointError also for a file that is not JSON.
   */
  static parse(files: { tokenizer: string; tokenizerConfig?: string; addedTokens?: string }): Tokenizer {
    return new Tokenizer({
      tokenizer: parseJson(files.tokenizer, "tokenizer.json"),
      tokenizerConfig: files.tokenizerConfig && parseJson(files.tokenizerConfig, "tokenizer_config.json"),
      addedTokens: files.addedTokens && parseJson(files.addedTokens, "added_tokens.json"),
    });
  }

  /**
   * Encodes a text without adding tokens before or after it. Added tokens in the text become their ids, as in the reference. They are
   * searched in `searched`, a text of the same length; characters that are blanked out there are encoded as plain text.
   */
  encode(text: string, searched = text): number[] {
    return this.#added
      .split(text, searched)
      .flatMap(({ text, token }) => (token ? [token.id] : this.encodeLiteral(text)));
  }

  /** Encodes a text in which added tokens are plain text (`split_special_tokens` for all of them). */
  encodeLiteral(text: string): number[] {
    return this.#bpe.encode(text, { add_special_tokens: false }).ids;
  }

  /** Returns the texts of the added tokens that `encode` would find. */
  addedTokensIn(text: string): string[] {
    return this.#added.split(text, text).flatMap(({ token }) => (token ? [token.content] : []));
  }

  /** Decodes ids to text. Unknown ids are skipped; invalid UTF-8 becomes U+FFFD. */
  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    const pieces: Uint8Array[] = [];
    for (const id of ids) {
      if (options.skipSpecialTokens && this.isSpecial(id)) continue;
      pieces.push(this.bytesOf(id));
    }
    return newTextDecoder().decode(concatBytes(pieces));
  }

  /** Returns the id of a token in the vocabulary's spelling (a space is `Ġ`); undefined if unknown. */
  idOf(token: string): number | undefined {
    return this.#addedIds.get(token) ?? this.#bpe.token_to_id(token);
  }

  /** Returns the token of an id in the vocabulary's spelling; undefined if unknown. */
  tokenOf(id: number): string | undefined {
    return this.#tokenOf[id];
  }

  /** Whether `skipSpecialTokens` omits the token. */
  isSpecial(id: number): boolean {
    return this.#special.has(id);
  }

  /** Like {@link bytesOf}, for reading many tokens: the bytes are not cached. */
  readBytes(id: number): Uint8Array {
    return tokenBytes(this.#tokenOf[id] ?? "");
  }

  /** Returns the bytes of a token; empty for an unknown id. */
  bytesOf(id: number): Uint8Array {
    let bytes = this.#bytes[id];
    if (bytes === undefined) {
      bytes = this.readBytes(id);
      if (this.#tokenOf[id] !== undefined) this.#bytes[id] = bytes;
    }
    return bytes;
  }
}

function buildBpe({ normalizer, preTokenizer, vocab, merges, ignoreMerges }: TokenizerJson): BpeTokenizer {
  const model = { type: "BPE", vocab, merges: [...merges], ignore_merges: ignoreMerges };
  try {
    const bpe = new BpeTokenizer(
      {
        added_tokens: [],
        normalizer,
        pre_tokenizer: foldLongS(preTokenizer),
        post_processor: null,
        decoder: null,
        model,
      },
      // An empty configuration: its flags (spaces, case) have no counterpart in the reference's tokenizer.json path.
      {},
    );
    // The library keeps its input, which it reads only during construction: 25 MB for the full vocabulary.
    model.merges.length = 0;
    model.vocab = {};
    return bpe;
  } catch (cause) {
    throw new CheckpointError({
      where: "tokenizer.json",
      expected: "normalizer and pre_tokenizer of a Qwen2 tokenizer",
      got: causeMessage(cause),
      remedy: "use the tokenizer files published with a LLaVA-OneVision checkpoint",
      cause,
    });
  }
}

/**
 * The split expression's `(?i:'s|…)` folds case by Unicode rules in the reference, so `'ſ` counts as `'s`; the library folds
 * ASCII only. `s` is the only letter of such a group with a third form (the Kelvin sign is gone after NFC).
 */
function foldLongS(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(foldLongS);
  if (typeof node !== "object" || node === null) return node;
  return Object.fromEntries(
    Object.entries(node).map(([key, value]) => {
      if (key !== "Regex" || typeof value !== "string") return [key, foldLongS(value)];
      const folded = value.replace(
        /\(\?i:([^()[\]]*)\)/g,
        (_, body: string) => `(?i:${body.replace(/\\.|[sS]/g, (c) => (c.length > 1 ? c : "[sSſ]"))})`,
      );
      return [key, folded];
    }),
  );
}
