import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { AbortedError, SourceError } from "../base/errors.js";

/** `ocellus serve` in a process of its own, on a free port of this machine. */
export class ServerChild {
  private constructor(
    readonly url: string,
    private readonly child: ChildProcess,
  ) {}

  /** Starts it with these options, and resolves when the model is loaded. Throws SourceError with what it wrote, AbortedError. */
  static async start(options: readonly string[], signal: AbortSignal): Promise<ServerChild> {
    const main = fileURLToPath(new URL("./main.js", import.meta.url));
    const child = spawn(process.execPath, [main, "serve", "--port", "0", "--log", "none", ...options], {
      stdio: ["ignore", "pipe", "pipe"],
      // Clients and server are one here, and a key would be nobody's.
      env: { ...process.env, OCELLUS_API_KEY: "", OCELLUS_API_KEYS: "" },
    });
    let written = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      written += text;
    });
    const stop = (): void => {
      child.kill("SIGTERM");
    };
    signal.addEventListener("abort", stop, { once: true });
    process.once("exit", stop);
    const url = await new Promise<string | undefined>((resolve) => {
      createInterface(child.stdout).once("line", (line) => resolve(/ at (http:\S+)\/v1$/.exec(line)?.[1]));
      child.once("exit", () => resolve(undefined));
    });
    if (signal.aborted) throw new AbortedError("ocellus serve", signal.reason);
    if (url !== undefined) return new ServerChild(url, child);
    throw new SourceError({
      where: "ocellus serve",
      expected: "a server",
      got: written.trim() || "the end of its process",
      remedy: "run it alone with the same options",
    });
  }

  /** Asks it to end, and waits until it has. */
  async stop(): Promise<void> {
    const { child } = this;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    await ended;
  }
}
