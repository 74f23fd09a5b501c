/** One line of the log of a run: a step, or an evaluation after one. */
export interface LogLine {
  readonly step: number;
  readonly loss?: number;
  readonly secondsLeft?: number;
  readonly evalLoss?: number;
  readonly exactMatch?: number;
}

const [WIDTH, HEIGHT, LEFT, BOTTOM] = [760, 320, 48, 24];

/** A page without scripts that shows the curves of a run, its options and the last answers. */
export function trainingReport(
  title: string,
  options: Readonly<Record<string, unknown>>,
  log: readonly LogLine[],
  answers: readonly { readonly answer: string; readonly expected: string }[],
): string {
  const losses = log.flatMap(({ step, loss }) => (loss === undefined ? [] : [[step, loss] as const]));
  const held = log.flatMap(({ step, evalLoss }) => (evalLoss === undefined ? [] : [[step, evalLoss] as const]));
  const all = [...losses, ...held];
  const lastStep = Math.max(2, ...all.map(([step]) => step));
  const top = Math.max(1e-9, ...all.map(([, loss]) => loss));
  const x = (step: number): number => LEFT + ((step - 1) / (lastStep - 1)) * (WIDTH - LEFT - 8);
  const y = (loss: number): number => 8 + (1 - loss / top) * (HEIGHT - BOTTOM - 8);
  const curve = (points: readonly (readonly [number, number])[], colour: string): string =>
    `<polyline fill="none" stroke="${colour}" stroke-width="1.5" points="${points
      .map(([step, loss]) => `${x(step).toFixed(1)},${y(loss).toFixed(1)}`)
      .join(" ")}"/>`;
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const at = y(share * top).toFixed(1);
    return `<line x1="${LEFT}" x2="${WIDTH}" y1="${at}" y2="${at}" stroke="#ddd"/><text x="4" y="${at}">${(share * top).toFixed(2)}</text>`;
  });
  const rows = (cells: readonly (readonly string[])[]): string =>
    cells.map((row) => `<tr>${row.map((cell) => `<td>${escaped(cell)}</td>`).join("")}</tr>`).join("\n");
  const scores = log.flatMap(({ step, evalLoss, exactMatch }) =>
    exactMatch === undefined ? [] : [[`${step}`, evalLoss?.toFixed(4) ?? "", `${(100 * exactMatch).toFixed(1)} %`]],
  );
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${escaped(title)}</title>
<style>body { font: 15px system-ui; margin: 2em auto; max-width: 800px } td { padding: 2px 12px 2px 0 } text { font-size: 11px }</style>
<h1>${escaped(title)}</h1>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="loss by step">
${ticks.join("\n")}
${curve(losses, "#36c")}
${curve(held, "#c60")}
<text x="${LEFT}" y="${HEIGHT - 6}">step 1</text><text x="${WIDTH - 60}" y="${HEIGHT - 6}">step ${lastStep}</text>
</svg>
<p>Loss of the steps (blue)${held.length > 0 ? " and of the records that are held out (orange)" : ""}.</p>
${scores.length > 0 ? `<h2>Held-out records</h2><table><tr><th>step</th><th>loss</th><th>exact match</th></tr>\n${rows(scores)}</table>` : ""}
${answers.length > 0 ? `<h2>Answers</h2><table><tr><th>answer</th><th>expected</th></tr>\n${rows(answers.map(({ answer, expected }) => [answer, expected]))}</table>` : ""}
<h2>Options</h2>
<table>
${rows(Object.entries(options).flatMap(([name, value]) => (value === undefined ? [] : [[name, typeof value === "string" ? value : JSON.stringify(value)]])))}
</table>
</html>
`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (mark) => `&#${mark.charCodeAt(0)};`);
}
