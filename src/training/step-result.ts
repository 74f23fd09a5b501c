/** What a step computed. */
export interface StepResult {
  /** Mean cross-entropy of the supervised tokens, before the step. */
  readonly loss: number;
  /** Norm of all gradients together, before clipping. */
  readonly gradientNorm: number;
  /** Supervised tokens. */
  readonly supervised: number;
  /** Tokens of the sequences. */
  readonly tokens: number;
}
