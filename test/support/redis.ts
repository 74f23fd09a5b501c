import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { freePort } from "./docs-folder.js";

/** The installed Redis or Valkey server, by name: OCELLUS_REDIS, else one in PATH; undefined if there is none. */
export function redisPath(): string | undefined {
  const names = process.env.OCELLUS_REDIS ? [process.env.OCELLUS_REDIS] : ["redis-server", "valkey-server"];
  return names.find((name) => spawnSync(name, ["--version"], { stdio: "ignore" }).status === 0);
}

/** What is missing for a test of the queue, as a sentence; undefined if nothing is. */
export function missingForQueue(): string | undefined {
  return redisPath() ? undefined : "redis-server is not installed (scripts/ci/with-redis.sh; OCELLUS_REDIS names it)";
}

/** A server of its own on a free port, whose data survives `stop` and `start`. */
export class RedisServer {
  readonly #folder = mkdtempSync(join(tmpdir(), "ocellus-redis-"));
  #child: ChildProcess | undefined;

  private constructor(readonly port: number) {}

  static async start(): Promise<RedisServer> {
    const server = new RedisServer(await freePort());
    await server.start();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    const options = ["--port", `${this.port}`, "--dir", this.#folder, "--appendonly", "yes", "--save", ""];
    const child = spawn(redisPath()!, options, { stdio: ["ignore", "pipe", "inherit"] });
    this.#child = child;
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`redis-server ended: ${code}`)));
      createInterface(child.stdout!).on("line", (line) => /Ready to accept/.test(line) && resolve());
    });
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#child?.once("exit", resolve));
    this.#child?.kill("SIGTERM");
    await ended;
  }

  async dispose(): Promise<void> {
    await this.stop();
    rmSync(this.#folder, { recursive: true });
  }
}
