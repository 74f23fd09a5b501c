/**
 * Escapes text from a file for messages: everything except printable ASCII becomes `\xNN` or `\uNNNN`, so that it can neither control a
 * terminal nor break log lines.
 */
export function printableAscii(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, (unit) => {
    const hex = unit.charCodeAt(0).toString(16);
    return hex.length > 2 ? `\\u${hex.padStart(4, "0")}` : `\\x${hex.padStart(2, "0")}`;
  });
}
