import { type Report, report, type Wanted } from "./elsewhere.js";

/** Set by the bundle. */
declare const WANTED: Wanted;

const isPage = typeof document !== "undefined";

/** Sends a report: a page to its server, a program to standard output. */
async function send(text: string): Promise<void> {
  if (isPage) await fetch("/report", { method: "POST", body: text });
  else console.log(text);
}

function log(line: string): void {
  if (isPage) void fetch("/log", { method: "POST", body: line });
  else console.error(line);
}

const failed = (error: unknown): Partial<Report> => ({
  error: String(error instanceof Error ? (error.stack ?? error) : error),
});

await send(JSON.stringify(await report(WANTED, log).catch(failed)));
