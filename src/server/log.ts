export const LOG_FORMATS = ["json", "text", "none"] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];
export type LogLevel = "info" | "warning" | "error";
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** A log of one line per event: JSON, or `name=value`. Lines are ASCII: whatever a value has, it begins no line and moves no cursor. */
export class Log {
  constructor(
    readonly format: LogFormat,
    private readonly write: (line: string) => void,
    private readonly now: () => Date = () => new Date(),
  ) {}

  /** Writes an event; fields that are undefined are left out. */
  event(level: LogLevel, event: string, fields: LogFields = {}): void {
    if (this.format === "none") return;
    const all = { time: this.now().toISOString(), level, event, ...fields };
    const known = Object.entries(all).filter(([, value]) => value !== undefined);
    const line =
      this.format === "json"
        ? ascii(JSON.stringify(Object.fromEntries(known)))
        : known.map(([name, value]) => `${name}=${plain(String(value))}`).join(" ");
    this.write(`${line}\n`);
  }
}

/** A value without quotes where nothing in it could be misread. */
function plain(text: string): string {
  return /^[\w.:/+@-]+$/.test(text) ? text : ascii(JSON.stringify(text));
}

function ascii(json: string): string {
  return json.replace(/[\u007f-\uffff]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
