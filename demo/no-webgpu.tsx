import type { ShownFault } from "./fault.js";

const HINTS: readonly { readonly browser: string; readonly what: string }[] = [
  {
    browser: "Chrome and Edge",
    what: "version 113 or newer on Windows, macOS and ChromeOS, 121 on Android. Turn on “Use graphics acceleration when available” in the settings under System, and look at chrome://gpu.",
  },
  {
    browser: "Chrome on Linux",
    what: "start it with --enable-unsafe-webgpu --enable-features=Vulkan where WebGPU is not on by default.",
  },
  { browser: "Safari", what: "version 26 or newer on macOS, iOS and iPadOS." },
  { browser: "Firefox", what: "version 141 or newer on Windows, 145 on macOS with Apple silicon." },
];

/** Says what to do if there is no WebGPU, or no adapter. */
export function NoWebGPU({ fault: { detail, remedy }, onRetry }: { fault: ShownFault; onRetry: () => void }) {
  return (
    <section class="card stack" role="alert" data-state="no-webgpu">
      <h2>WebGPU is not available on this page</h2>
      <p>The model runs on your own graphics adapter, which pages use through WebGPU.</p>
      <ul>
        {HINTS.map(({ browser, what }) => (
          <li key={browser}>
            <strong>{browser}</strong>: {what}
          </li>
        ))}
      </ul>
      <details class="small muted">
        <summary>Details</summary>
        {detail} {remedy}
      </details>
      <div class="row">
        <button type="button" onClick={onRetry}>
          Try again
        </button>
      </div>
    </section>
  );
}
