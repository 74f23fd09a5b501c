import { spawn } from "node:child_process";
import { realpathSync } from "node:fs";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";
import { platform } from "#platform";

// Dawn, the Vulkan loader and Mesa write warnings and stack traces of their own to file descriptor 2, which a program in JavaScript can't
// redirect in its own process. Where the system has Vulkan drivers, commands run in a child process whose standard error is filtered.

/** In the child's environment: what the parent's standard error is, as JSON. */
const VARIABLE = "OCELLUS_STDERR";

interface Terminal {
  readonly isTTY: boolean;
  readonly columns: number | undefined;
}

/** How lines of Dawn, the Vulkan loader and Mesa begin. Ocellus writes none that do. */
const FOREIGN = ["Warning: ", "WARNING: ", "Error: Loader Message", "MESA: ", "MESA-"];
/** How the lines of a stack trace begin. */
const TRACE = "    at ";

/** Signals that a supervisor or a shell sends to the process it has started. */
const FORWARDED = ["SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;

/**
 * Runs the same command in a child process with a filtered standard error, and ends as it does; false where this process is to run it:
 * without drivers nothing is written, `--debug` shows everything, and programs that import `main` (the module of that URL) have their own.
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
    // The channel tells the child when this process ends.
    stdio: ["inherit", "inherit", "pipe", "ipc"],
    env: { ...process.env, [VARIABLE]: JSON.stringify(terminal) },
  });
  for (const signal of FORWARDED) process.on(signal, () => child.kill(signal));
  // A terminal sends Ctrl-C to both.
  process.on("SIGINT", () => process.stdin.isTTY || child.kill("SIGINT"));
  const filter = new ForeignLines();
  child.stderr?.setEncoding("utf8").on("data", (text: string) => process.stderr.write(filter.keep(text)));
  child.on("error", (error) => {
    process.stderr.write(`ocellus: ${error.message}\n`);
    process.exit(1);
  });
  child.on("close", (code, signal) => {
    process.stderr.write(filter.end());
    // As shells have it.
    process.exit(code ?? 128 + (signal ? constants.signals[signal] : 0));
  });
}

/** In the child: shows progress as the parent's terminal would, and ends when the parent is gone. */
function beLike({ isTTY, columns }: Terminal): void {
  delete process.env[VARIABLE];
  if (isTTY) Object.assign(process.stderr, { isTTY, columns });
  process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
  process.channel?.unref();
}

/** Drops foreign lines, and stack traces and the empty line after them; the beginning of a line waits until it can't become one. */
export class ForeignLines {
  /** The beginning of a line, not yet judged. */
  #held = "";
  #state: "start" | "within" | "after foreign" = "start";

  /** What of `text` is to be written now. */
  keep(text: string): string {
    let kept = "";
    for (const piece of (this.#held + text).split(/(?<=\n)/)) kept += this.#judge(piece);
    return kept;
  }

  /** What is left when nothing more comes. */
  end(): string {
    const rest = this.#held;
    this.#held = "";
    return FOREIGN.some((opening) => rest.startsWith(opening)) ? "" : rest;
  }

  /** `piece` is a line, or the beginning or the rest of one. */
  #judge(piece: string): string {
    this.#held = "";
    const whole = piece.endsWith("\n");
    if (this.#state === "within") {
      if (whole) this.#state = "start";
      return piece;
    }
    const openings = this.#state === "start" ? FOREIGN : [...FOREIGN, TRACE, "\n"];
    if (openings.some((opening) => piece.startsWith(opening))) {
      if (whole) this.#state = piece === "\n" ? "start" : "after foreign";
      else this.#held = piece;
      return "";
    }
    if (!whole && openings.some((opening) => opening.startsWith(piece))) {
      this.#held = piece;
      return "";
    }
    this.#state = whole ? "start" : "within";
    return piece;
  }
}
