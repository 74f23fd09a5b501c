/** The packages that Ocellus uses where they are installed: optional peer dependencies, by name. */
export const OPTIONAL_PACKAGES = {
  webgpu: { install: "webgpu", brings: "WebGPU in Node (Dawn)" },
  sharp: { install: "sharp", brings: "JPEG, WebP, AVIF and TIFF in Node" },
  // Version 1.3.1 is the one whose peculiarities were measured.
  "@napi-rs/webcodecs": { install: "@napi-rs/webcodecs@1.3.1", brings: "clips in Node: MP4, MOV, WebM and Matroska" },
  "libheif-js": { install: "libheif-js", brings: "HEIC in Node" },
  hono: { install: "hono", brings: "`ocellus serve`: routes" },
  "@hono/node-server": { install: "@hono/node-server", brings: "`ocellus serve`: the HTTP server" },
  "prom-client": { install: "prom-client", brings: "`ocellus serve`: metrics" },
  bullmq: { install: "bullmq", brings: "`ocellus worker`, ocellus/queue: jobs" },
  ioredis: { install: "ioredis", brings: "`ocellus worker`, ocellus/queue: Redis and Valkey" },
  yaml: { install: "yaml", brings: "`ocellus train`: mixtures of data files" },
  // Version 143 is the last whose package accepts every Node version that Ocellus accepts; later ones work as well.
  "@sparticuz/chromium": {
    install: "@sparticuz/chromium@143",
    brings: "a software adapter, SwiftShader (Linux on x64)",
  },
  "@ocellus/tiny": { install: "@ocellus/tiny", brings: "a toy checkpoint of 10 MB, to try commands offline" },
} as const satisfies Readonly<Record<string, { readonly install: string; readonly brings: string }>>;

export type OptionalPackage = keyof typeof OPTIONAL_PACKAGES;

/** Returns the command that installs the packages. */
export function installCommand(...names: readonly OptionalPackage[]): string {
  return `npm install ${names.map((name) => OPTIONAL_PACKAGES[name].install).join(" ")}`;
}
