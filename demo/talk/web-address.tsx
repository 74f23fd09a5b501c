import { signal } from "@preact/signals";
import { inBytes } from "../quantities.js";
import { attach } from "./draft.js";

/** Address that was pasted, before the visitor says what to do with it. */
const offered = signal<URL | undefined>(undefined);
const loading = signal<AbortController | undefined>(undefined);
const failure = signal<string | undefined>(undefined);

const MOST_BYTES = 200e6;

/** Offers to add the picture or clip at an address. Returns false for a text that is not the address of a file. */
export function offerAddress(text: string): boolean {
  const trimmed = text.trim();
  if (!/^https:\/\/\S+$/i.test(trimmed) || !URL.canParse(trimmed)) return false;
  failure.value = undefined;
  offered.value = new URL(trimmed);
  return true;
}

/** Asks before the page requests a pasted address: the request leaves the machine. */
export function WebAddress() {
  const url = offered.value;
  if (!url) return null;
  const close = (): void => {
    loading.value?.abort();
    offered.value = undefined;
  };
  return (
    <section class="notice stack small" aria-label="Pasted address">
      <p>
        Add the picture or clip at <strong>{url.host}</strong>? Your browser will request it from there, which leaves
        your machine; nothing of this conversation is sent.
      </p>
      {failure.value !== undefined && (
        <p class="fault" role="alert">
          {failure.value}
        </p>
      )}
      <div class="row">
        {loading.value ? (
          <span class="busy" role="status">
            Loading…
          </span>
        ) : (
          <button type="button" class="primary" onClick={() => void load(url)}>
            Load it
          </button>
        )}
        <button type="button" class="quiet" onClick={close}>
          Cancel
        </button>
      </div>
    </section>
  );
}

async function load(url: URL): Promise<void> {
  const controller = new AbortController();
  loading.value = controller;
  failure.value = undefined;
  try {
    const file = await fetchFile(url, controller.signal);
    if (controller.signal.aborted) return;
    await attach([file]);
    offered.value = undefined;
  } catch (error) {
    if (!controller.signal.aborted) failure.value = error instanceof Error ? error.message : String(error);
  } finally {
    loading.value = undefined;
  }
}

async function fetchFile(url: URL, signal: AbortSignal): Promise<File> {
  const response = await fetch(url, { signal, credentials: "omit", referrerPolicy: "no-referrer" }).catch(() => {
    throw new Error(
      `${url.host} doesn't answer, or doesn't let other pages read its files. Save the file and add it here.`,
    );
  });
  if (!response.ok) throw new Error(`${url.host} answered with status ${response.status}. Check the address.`);
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  const reader = response.body!.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    bytes += part.value.length;
    if (bytes > MOST_BYTES) {
      await reader.cancel();
      throw new Error(`The file is larger than ${inBytes(MOST_BYTES)}. Save it and add a shorter or smaller one.`);
    }
    chunks.push(part.value);
  }
  const type = response.headers.get("content-type")?.split(";")[0]?.trim() ?? "";
  if (!/^(image|video)\//.test(type)) {
    throw new Error(
      `${url.host} sent ${type || "a file without a type"}, not a picture or clip. Give the address of the file itself.`,
    );
  }
  const name = decodeURIComponent(url.pathname.split("/").at(-1) || url.host);
  return new File(chunks, name, { type });
}
