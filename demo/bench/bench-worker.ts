import {
  aboutRun,
  type BenchMeasurement,
  htmlReport,
  KERNEL_WORKLOADS,
  measure,
  measurePeak,
  PEER_WORKLOADS,
  type Peak,
  summaryLine,
} from "ocellus/bench";
import { version } from "ocellus/package.json";
import { type AdapterFacts, Device } from "ocellus/tensor";
import { isCode, shown } from "../fault.js";
import type { FromBench, Job, ToBench } from "./messages.js";

// Runs the workloads of `ocellus bench` in the same way: verified against float64 loops, then timed.

const WORKLOADS = [...KERNEL_WORKLOADS, ...PEER_WORKLOADS];

const send = (message: FromBench): void => self.postMessage(message);

let device: Device | undefined;
let facts: AdapterFacts | undefined;
let peak: Peak | undefined;
let running: AbortController | undefined;

async function open(): Promise<void> {
  try {
    device = await Device.open();
    const workloads = WORKLOADS.map((workload) => ({
      name: workload.name,
      what: workload.what,
      shape: workload.shape,
      flops: workload.flops,
      weighs: workload.weights > 0,
      compared: PEER_WORKLOADS.includes(workload),
    }));
    facts = device.facts;
    send({ kind: "opened", facts, workloads });
  } catch (error) {
    send({ kind: "failed", fault: shown(error) });
  }
}

/** Runs `work` on the device; if it is lost, once more on a new one. */
async function onDevice<T>(work: (device: Device) => Promise<T>): Promise<T> {
  try {
    device ??= await Device.open();
    return await work(device);
  } catch (error) {
    if (!isCode(error, "DEVICE_LOST")) throw error;
    device?.dispose();
    device = undefined;
    device = await Device.open();
    return await work(device);
  }
}

async function run(jobs: readonly Job[], seconds: number): Promise<void> {
  const controller = new AbortController();
  running = controller;
  const { signal } = controller;
  const all: BenchMeasurement[] = [];
  const faults: string[] = [];
  const stage = (text: string, done: number): void => send({ kind: "stage", text, done, total: jobs.length });
  try {
    if (!peak) {
      stage("Measuring the adapter's peak", 0);
      peak = await onDevice((own) => measurePeak(own, signal));
    }
    const roof = peak;
    send({ kind: "peak", peak });
    for (const [done, job] of jobs.entries()) {
      const workload = WORKLOADS.find(({ name }) => name === job.name);
      if (!workload || signal.aborted) continue;
      try {
        const onStage = (name: string): void => stage(`${job.name} in ${job.dtype}: ${name}`, done);
        const measured = await onDevice((own) =>
          measure(own, workload, job.dtype, { peak: roof, seconds, signal, onStage }),
        );
        all.push(measured);
        send({ kind: "measured", measured });
      } catch (error) {
        if (isCode(error, "ABORTED")) continue;
        const fault = shown(error);
        faults.push(fault.detail ?? fault.title);
        send({ kind: "failed", fault, job });
      }
    }
  } catch (error) {
    if (!isCode(error, "ABORTED")) send({ kind: "failed", fault: shown(error) });
  } finally {
    running = undefined;
  }
  const about = peak && facts && aboutRun(facts, peak, { ocellus: version, browser: navigator.userAgent });
  const lines = [...all, ...(all.length > 0 ? [summaryLine(all)] : [])].map((line) => ({ ...line, ...about }));
  if (signal.aborted) faults.push(`stopped after ${all.length} of ${jobs.length} workloads.`);
  const report =
    about && facts && all.length > 0
      ? htmlReport({
          facts,
          about,
          run: all,
          command: "the bench page",
          system: navigator.userAgent,
          fault: faults.length > 0 ? faults.join(" ") : undefined,
        })
      : "";
  send({ kind: "ended", lines, report, stopped: signal.aborted });
}

self.addEventListener("message", ({ data }: MessageEvent<ToBench>) => {
  if (data.kind === "stop") running?.abort();
  else if (facts && !running) void run(data.jobs, data.seconds);
});
void open();
