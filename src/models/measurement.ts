/** What a prompt takes, known before the adapter works. */
export interface Measurement {
  readonly promptTokens: number;
  /** Those that pictures and clips take. */
  readonly visualTokens: number;
  /** Those whose keys and values the session has. */
  readonly reusedTokens: number;
  /** Tiles of the pictures and frames. */
  readonly tiles: number;
  /** Tokens that the model's context holds. */
  readonly contextTokens: number;
  /** Those that are left for the answer; 0 if the prompt does not fit. */
  readonly availableTokens: number;
  /** Pictures and clips in their order. */
  readonly media: readonly { readonly kind: "image" | "video"; readonly tiles: number; readonly tokens: number }[];
}

/** What was computed ahead of a question. */
export interface AppendResult {
  /** Tokens that are in the session's cache now. */
  readonly promptTokens: number;
  readonly reusedTokens: number;
  readonly visualTokens: number;
  /** Tiles that went through the vision tower. */
  readonly tiles: number;
}
