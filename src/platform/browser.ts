import { NoAdapterError, OptionError, SourceError, shown } from "../base/errors.js";
import { openAnimation } from "./browser-animation.js";
import { endOfLifeline, holdLifeline } from "./browser-lifeline.js";
import { decodePicture, readPixels, snapshot } from "./browser-pictures.js";
import { waitFor } from "./browser-polling.js";
import { videoCodecs } from "./browser-video.js";
import { type AdapterRequest, adapterName, type OpenedAdapter, type Platform } from "./platform.js";

/** The WebGPU of the browser. */
export const platform: Platform = {
  name: "browser",
  requestAdapter,
  languageFeatures: () => globalThis.navigator?.gpu?.wgslLanguageFeatures ?? new Set(),
  // The cache is imported on demand: many pages do not load hub models.
  cache: async () => (await import("./browser-cache.js")).openCache(),
  openFile: async (path) => (await cachedFiles(path)).openCached(path),
  listFolder: async (path) => (await cachedFiles(path)).listCached(path),
  decodePicture,
  readPixels,
  snapshot,
  lifeline: { hold: holdLifeline, ended: endOfLifeline },
  openAnimation,
  videoCodecs,
  waitFor,
  collectGarbage: () => {},
};

/** Chromium has no adapter while its GPU process starts, or restarts after a crash. */
const RESTART_MS = 1000;
const later = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function requestAdapter(options: AdapterRequest): Promise<OpenedAdapter> {
  if (options.adapter !== undefined) {
    throw new OptionError({
      where: "Device.open, adapter",
      expected: "none in a browser, which has the choice",
      got: shown(options.adapter),
      remedy: "leave it out; `powerPreference` and `prefer` say what is wanted",
    });
  }
  const gpu = entryPoint();
  const software = options.prefer === "software";
  const ask = (): Promise<GPUAdapter | null> =>
    gpu.requestAdapter({
      featureLevel: "core",
      powerPreference: options.powerPreference ?? "high-performance",
      forceFallbackAdapter: software,
    });
  const adapter = (await ask()) ?? (await later(RESTART_MS).then(ask));
  if (!adapter) {
    throw new NoAdapterError({
      where: "navigator.gpu.requestAdapter",
      expected: software ? "the browser's software adapter" : "a WebGPU adapter",
      got: "null",
      remedy: software
        ? "leave the preference out, or start Chromium with --enable-unsafe-webgpu --use-webgpu-adapter=swiftshader"
        : "turn hardware acceleration on in the browser's settings, update the graphics driver, and see chrome://gpu; on Linux, Chromium may need --enable-unsafe-webgpu --enable-features=Vulkan",
    });
  }
  const reasons = [
    software ? "A software adapter was requested." : "",
    `The browser offers ${adapterName(adapter.info)}.`,
  ].filter(Boolean);
  return { adapter, reasons };
}

/** `navigator.gpu`, which may be undefined. */
function entryPoint(): GPU {
  const gpu: GPU | undefined = globalThis.navigator?.gpu;
  if (gpu) return gpu;
  if (globalThis.isSecureContext === false) {
    throw new NoAdapterError({
      where: "navigator.gpu",
      expected: "a page in a secure context",
      got: `the origin ${globalThis.location?.origin ?? "unknown"}, where browsers hide WebGPU`,
      remedy: "serve the page over https, or from localhost",
    });
  }
  throw new NoAdapterError({
    where: "navigator.gpu",
    expected: "a browser with WebGPU",
    got: "undefined",
    remedy:
      "use a current Chrome or Edge, Safari 26, or Firefox 141 on Windows; in workers it may need a newer version",
  });
}

/** Imports the cache; only its paths are readable in browsers. */
async function cachedFiles(path: string): Promise<typeof import("./browser-cache.js")> {
  if (!path.startsWith("opfs:/")) throw noFiles(path);
  return import("./browser-cache.js");
}

function noFiles(path: string): SourceError {
  return new SourceError({
    where: path,
    expected: "a source the browser can read",
    got: "a path of a local file",
    remedy: "pass a Blob or File (an <input type=file> or a drop gives them), or a URL",
  });
}
