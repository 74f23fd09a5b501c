import type { Plugin } from "vite";

/** Where models come from that a visitor asks for: the hub, and the stores that it redirects to. */
const HUB = ["https://huggingface.co", "https://*.huggingface.co", "https://*.hf.co"];

/**
 * Nothing is run, shown or asked but what lies beside the page; pictures and clips are the visitor's own, as blobs.
 * Only a model of the hub comes from elsewhere, and only when the visitor asks for one.
 */
export const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob:",
  "media-src 'self' blob:",
  `connect-src 'self' ${HUB.join(" ")}`,
  "worker-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

/** For hosts that send headers: a worker has the policy of its own answer, not the page's. */
export const HEADERS: Readonly<Record<string, string>> = {
  "Content-Security-Policy": `${POLICY}; frame-ancestors 'none'`,
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
};

/** Puts the policy into every page, for hosts that send files as they are, and into `_headers`, which several hosts read. */
export function strictPolicy(): Plugin {
  return {
    name: "strict-policy",
    apply: "build",
    transformIndexHtml: () => [
      { tag: "meta", attrs: { "http-equiv": "Content-Security-Policy", content: POLICY }, injectTo: "head-prepend" },
    ],
    generateBundle() {
      const lines = Object.entries(HEADERS).map(([name, value]) => `  ${name}: ${value}`);
      this.emitFile({ type: "asset", fileName: "_headers", source: `/*\n${lines.join("\n")}\n` });
    },
  };
}
