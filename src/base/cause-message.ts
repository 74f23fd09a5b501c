/** Returns the message of something that was thrown. */
export function causeMessage(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** Its first line: native code adds stacks and hints. */
export function firstLineOf(cause: unknown): string {
  return causeMessage(cause).split("\n", 1)[0]!;
}
