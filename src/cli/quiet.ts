import { spawn } from "node:child_process";
import { realpathSync } from "node:fs";
import { WriteStream } from "node:tty";
import { fileURLToPath } from "node:url";
import { platform } from "#platform";
import { statusOf } from "./interruption.js";
import { guardErrors } from "./output.js";

// Dawn, the Vulkan loader and Mesa write warnings and stack traces to file descriptor 2, which JavaScript can't redirect within its own
// process. Where the system has Vulkan drivers, commands run in a child process whose standard error is filtered.

/** Environment variable of the child: properties of the parent's standard error, as JSON. */
const VARIABLE = "OCELLUS_STDERR";

interface Terminal {
  readonly isTTY: boolean;
  readonly columns: number | undefined;
}

/** Prefixes of lines by Dawn, the Vulkan loader and Mesa. Ocellus writes no such lines. */
const FOREIGN = ["Warning: ", "WARNING: ", "Error: Loader Message", "MESA: ", "MESA-"];
/** Prefixes of stack trace lines. */
const TRACE = "    at ";

/** Signals that a supervisor or a shell sends to the process it has started. */
const FORWARDED = ["SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;

/**
 * Runs the same command in a child process with a filtered standard error, and exits with its status. Returns false if this process
 * should run it: without drivers, with `--debug`, and in programs that import `main` (the module of that URL).
 */
export function runQuietly(main: string): boolean {
  const terminal = process.env[VARIABLE];
  if (terminal !== undefined) {
    beLike(JSON.parse(terminal) as Terminal);
    return false;
  }
  if (process.argv.includes("--debug") || process.env.OCELLUS_ADAPTER === "swiftshader" || !isProgram(main))
    return false;
  if (!platform.driversMayWrite?.()) return false;
  runChild();
  return true;
}

/** Whether this process was started to run that module. */
function isProgram(main: string): boolean {
  try {
    return realpathSync(process.argv[1] ?? "") === realpathSync(fileURLToPath(main));
  } catch {
    return false;
  }
}

function runChild(): void {
  const { isTTY = false, columns } = process.stderr;
  const terminal: Terminal = { isTTY, columns };
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    // The IPC channel closes when this process ends, which ends the child.
    stdio: ["inherit", "inherit", "pipe", "ipc"],
    env: { ...process.env, [VARIABLE]: JSON.stringify(terminal) },
  });
  for (const signal of FORWARDED) process.on(signal, () => child.kill(signal));
  // A terminal sends Ctrl-C to both.
  process.on("SIGINT", () => process.stdin.isTTY || child.kill("SIGINT"));
  guardErrors();
  const filter = new ForeignLines();
  child.stderr?.setEncoding("utf8").on("data", (text: string) => process.stderr.write(filter.keep(text)));
  child.on("error", (error) => {
    process.stderr.write(`ocellus: ${error.message}\n`);
    process.exit(1);
  });
  child.on("close", (code, signal) => {
    process.stderr.write(filter.end());
    process.exit(code ?? (signal ? statusOf(signal) : 1));
  });
}

/** In the child: mimics the parent's terminal, and exits when the parent has ended. */
function beLike({ isTTY, columns }: Terminal): void {
  delete process.env[VARIABLE];
  // Whether a terminal shows colours is read from the environment only.
  const { getColorDepth } = WriteStream.prototype;
  if (isTTY) Object.assign(process.stderr, { isTTY, columns, getColorDepth });
  process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
  process.channel?.unref();
}

/** Filters foreign lines, and stack traces with the empty line after them; a partial line is buffered while it could become one. */
export class ForeignLines {
  /** The buffered beginning of a line. */
  #buffered = "";
  #state: "start" | "within" | "after foreign" = "start";

  /** Adds text; returns what can be written now. */
  keep(text: string): string {
    let kept = "";
    for (const piece of (this.#buffered + text).split(/(?<=\n)/)) kept += this.#filter(piece);
    return kept;
  }

  /** Returns the buffered rest at the end of the stream. */
  end(): string {
    const rest = this.#buffered;
    this.#buffered = "";
    return FOREIGN.some((opening) => rest.startsWith(opening)) ? "" : rest;
  }

  /** Filters a line, or the beginning or rest of one. */
  #filter(piece: string): string {
    this.#buffered = "";
    const whole = piece.endsWith("\n");
    if (this.#state === "within") {
      if (whole) this.#state = "start";
      return piece;
    }
    const openings = this.#state === "start" ? FOREIGN : [...FOREIGN, TRACE, "\n"];
    if (openings.some((opening) => piece.startsWith(opening))) {
      if (whole) this.#state = piece === "\n" ? "start" : "after foreign";
      else this.#buffered = piece;
      return "";
    }
    if (!whole && openings.some((opening) => opening.startsWith(piece))) {
      this.#buffered = piece;
      return "";
    }
    this.#state = whole ? "start" : "within";
    return piece;
  }
}
