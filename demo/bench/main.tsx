import { render } from "preact";
import { TopBar } from "../layout.js";
import { NoWebGPU } from "../no-webgpu.js";
import { Adapter } from "./adapter.js";
import { Chart } from "./chart.js";
import { Choice } from "./choice.js";
import { Results } from "./results.js";
import { facts, refused } from "./run.js";

function Bench() {
  return (
    <>
      <TopBar current="bench" />
      <main class="page stack bench">
        <h1>Kernels on this adapter</h1>
        <p>
          The workloads of <code>ocellus bench</code>: each is verified against a plain loop in float64 first, then
          timed. Nothing leaves this machine.
        </p>
        {refused.value ? (
          <NoWebGPU fault={refused.value} onRetry={() => location.reload()} />
        ) : facts.value ? (
          <>
            <Adapter facts={facts.value} />
            <Choice />
            <Chart />
            <Results />
          </>
        ) : (
          <p class="muted busy">Requesting an adapter</p>
        )}
      </main>
    </>
  );
}

render(<Bench />, document.getElementById("app")!);
