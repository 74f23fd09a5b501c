import { begin } from "./current.js";
import { attach, text } from "./draft.js";

/** Takes what the page was opened for: a new conversation, or pictures and clips that another app shared (service-worker.ts). */
export async function takeShared(): Promise<void> {
  const url = new URL(location.href);
  const { searchParams } = url;
  if (!searchParams.has("shared") && !searchParams.has("new")) return;
  begin();
  text.value = searchParams.get("text") ?? "";
  history.replaceState(null, "", url.pathname);
  if (!("caches" in globalThis)) return;
  const cache = await caches.open("ocellus shared");
  const files: File[] = [];
  for (const request of await cache.keys()) {
    const response = await cache.match(request);
    await cache.delete(request);
    if (!response) continue;
    const name = decodeURIComponent(request.url.slice(request.url.lastIndexOf("/") + 1));
    const blob = await response.blob();
    files.push(new File([blob], name, { type: blob.type }));
  }
  if (files.length > 0) await attach(files);
}
