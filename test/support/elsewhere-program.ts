import { type Report, report, type Wanted } from "./elsewhere.js";

/** Set by the bundle. */
declare const WANTED: Wanted;

/** Sends a report: a page to its server, a program to standard output. */
async function send(text: string): Promise<void> {
  if (typeof document === "undefined") console.log(text);
  else await fetch("/report", { method: "POST", body: text });
}

const failed = (error: unknown): Partial<Report> => ({
  error: String(error instanceof Error ? (error.stack ?? error) : error),
});

await send(JSON.stringify(await report(WANTED).catch(failed)));
