import type * as Prometheus from "prom-client";
import type { AnswerCounts, MemoryUse } from "./backend.js";

/** Gauges, read when the metrics are scraped. */
export interface Gauges {
  active(): number;
  queued(): number;
  memory(): MemoryUse;
  /** 1 if requests are accepted. */
  ready(): number;
}

/** Prometheus metrics of `/metrics`. */
export class Metrics {
  readonly #registry: Prometheus.Registry;
  readonly #requests: Prometheus.Counter<"route" | "status">;
  readonly #losses: Prometheus.Counter;
  readonly #prompt: Prometheus.Counter;
  readonly #reused: Prometheus.Counter;
  readonly #completion: Prometheus.Counter;
  readonly #drafted: Prometheus.Counter;
  readonly #accepted: Prometheus.Counter;
  readonly #firstToken: Prometheus.Histogram;
  readonly #rate: Prometheus.Histogram;
  readonly #interval: Prometheus.Histogram;
  /** What those get who ask in the same turn of the event loop. */
  #text: Promise<string> | undefined;

  constructor({ Registry, Counter, Gauge, Histogram }: typeof Prometheus, gauges: Gauges) {
    const registry = new Registry();
    this.#registry = registry;
    const registers = [registry];
    const counter = (name: string, help: string) => new Counter({ name, help, registers });
    const gauge = (name: string, help: string, read: () => number) =>
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    gauge("ocellus_active_requests", "Running requests", gauges.active);
    gauge("ocellus_queue_length", "Waiting requests", gauges.queued);
    const { memory } = gauges;
    gauge("ocellus_gpu_bytes", "Bytes reserved on the device", () => memory().gpuBytes);
    gauge("ocellus_kv_blocks", "Blocks of keys and values in use", () => memory().usedBlocks);
    gauge("ocellus_shared_kv_blocks", "Blocks that several sequences share", () => memory().sharedBlocks);
    gauge("ocellus_preemptions", "Sequences that gave up their blocks to others", () => memory().preemptions);
    gauge("ocellus_ready", "1 if requests are accepted", gauges.ready);
    this.#losses = counter("ocellus_model_losses_total", "Losses of the model's process or of its device");
    this.#requests = new Counter({
      name: "ocellus_requests_total",
      help: "Requests by route and HTTP status",
      labelNames: ["route", "status"],
      registers,
    });
    this.#prompt = counter("ocellus_prompt_tokens_total", "Prompt tokens");
    this.#reused = counter("ocellus_reused_tokens_total", "Prompt tokens reused from a KV cache");
    this.#completion = counter("ocellus_completion_tokens_total", "Completion tokens");
    this.#drafted = counter("ocellus_drafted_tokens_total", "Draft tokens that were verified");
    this.#accepted = counter("ocellus_accepted_tokens_total", "Draft tokens that were accepted");
    this.#firstToken = new Histogram({
      name: "ocellus_first_token_seconds",
      help: "Seconds from a request's arrival to its first token",
      buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120],
      registers,
    });
    this.#interval = new Histogram({
      name: "ocellus_token_interval_seconds",
      help: "Seconds between tokens after the first, the mean of each answer",
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
      registers,
    });
    this.#rate = new Histogram({
      name: "ocellus_tokens_per_second",
      help: "Tokens per second after the first token",
      buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500],
      registers,
    });
  }

  request(route: string, status: number): void {
    this.#requests.inc({ route, status: String(status) });
  }

  /** Records that the model's process or its device was lost. */
  loss(): void {
    this.#losses.inc();
  }

  /** Records a finished answer, `seconds` after the arrival of its request. */
  answer(result: AnswerCounts, seconds: number): void {
    const { usage, timings } = result;
    this.tokens(result);
    this.#firstToken.observe(Math.max(0, seconds - timings.decode));
    if (usage.completionTokens > 1 && timings.decode > 0) {
      this.#rate.observe((usage.completionTokens - 1) / timings.decode);
      this.#interval.observe(timings.decode / (usage.completionTokens - 1));
    }
  }

  /** Records the tokens of an answer alone, for the further choices of a request. */
  tokens({ usage }: AnswerCounts): void {
    this.#prompt.inc(usage.promptTokens);
    this.#reused.inc(usage.reusedTokens);
    this.#completion.inc(usage.completionTokens);
    this.#drafted.inc(usage.draftedTokens);
    this.#accepted.inc(usage.acceptedTokens);
  }

  /** In Prometheus' text format. Hundreds that ask at once get one text. */
  text(): Promise<string> {
    this.#text ??= this.#registry.metrics().finally(() => {
      setImmediate(() => {
        this.#text = undefined;
      });
    });
    return this.#text;
  }

  get contentType(): string {
    return this.#registry.contentType;
  }
}
