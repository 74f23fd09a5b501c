/** A fenced block of a page: what it is written in, the file that its fence names (` ```ts worker.ts `), and where it stands. */
export interface CodeBlock {
  readonly language: string;
  readonly file: string | undefined;
  /** Of its first line of code, from 1. */
  readonly line: number;
  readonly lines: readonly string[];
}

/** The fenced blocks of a Markdown page. Throws for one that is not closed. */
export function codeBlocks(markdown: string): CodeBlock[] {
  const blocks: CodeBlock[] = [];
  let open: { language: string; file: string | undefined; line: number; lines: string[] } | undefined;
  for (const [i, line] of markdown.split("\n").entries()) {
    const fence = /^ {0,3}```\s*(\S*)\s*(\S*)/.exec(line);
    if (!fence) {
      open?.lines.push(line);
    } else if (open) {
      blocks.push(open);
      open = undefined;
    } else {
      open = { language: fence[1]!, file: fence[2] || undefined, line: i + 2, lines: [] };
    }
  }
  if (open) throw new Error(`the block of line ${open.line - 1} is not closed`);
  return blocks;
}

/** Blocks as one file, every line where it stands in the page, so that a compiler's line numbers are the page's. */
export function inPlace(blocks: readonly CodeBlock[]): string {
  const lines: string[] = [];
  for (const block of blocks) {
    while (lines.length < block.line - 1) lines.push("");
    lines.push(...block.lines);
  }
  return `${lines.join("\n")}\n`;
}

/** The commands of a shell block: a line each, without comments. */
export function commands(block: CodeBlock): { line: number; command: string }[] {
  return block.lines.flatMap((text, i) => {
    const command = text.replace(/(^|\s)#.*$/, "").trim();
    return command === "" ? [] : [{ line: block.line + i, command }];
  });
}

/** The words of a command line: quotes keep words together, a backslash keeps a sign. */
export function words(command: string): string[] {
  const found = command.match(/(?:"[^"]*"|'[^']*'|\\.|[^\s"'\\])+/g) ?? [];
  return found.map((word) => word.replace(/"([^"]*)"|'([^']*)'|\\(.)/g, (_, a, b, c) => a ?? b ?? c));
}
