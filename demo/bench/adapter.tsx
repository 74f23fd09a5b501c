import type { AdapterFacts } from "ocellus/tensor";
import { inBytes } from "../quantities.js";
import { peak } from "./run.js";

/** The adapter: its name, its features and its measured peak. */
export function Adapter({ facts }: { facts: AdapterFacts }) {
  const { subgroupMinSize, subgroupMaxSize, f16, timestamps, subgroupMatrix } = facts;
  const subgroups =
    subgroupMaxSize === 0
      ? "none"
      : subgroupMinSize === subgroupMaxSize
        ? `${subgroupMaxSize} lanes`
        : `${subgroupMinSize} to ${subgroupMaxSize} lanes`;
  const rows: [string, string][] = [
    ["Adapter", facts.name],
    ["Subgroups", subgroups],
    ["f16 in shaders", f16 ? "yes" : "no"],
    [
      "Subgroup matrices",
      subgroupMatrix ? `${subgroupMatrix.m}×${subgroupMatrix.n}×${subgroupMatrix.k}, ${subgroupMatrix.input}` : "no",
    ],
    ["Timestamps", timestamps ? "yes" : "no"],
    ["Largest binding, buffer", `${inBytes(facts.maxBindingBytes)}, ${inBytes(facts.maxBufferBytes)}`],
  ];
  if (peak.value) {
    const { gflops, loop, gigabytesPerSecond } = peak.value;
    rows.push([
      "Measured peak",
      `${gflops.toFixed(1)} GFLOP/s (multiply-adds in registers, ${loop}), ${gigabytesPerSecond.toFixed(1)} GB/s (copy)`,
    ]);
  }
  return (
    <section class="card stack" aria-labelledby="adapter">
      <div class="row">
        <h2 id="adapter">Adapter</h2>
        {facts.onCPU && <span class="chip">software: it runs on the CPU</span>}
      </div>
      <dl class="facts">
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
