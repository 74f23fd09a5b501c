/// <reference lib="webworker" />

// The page without a network. All files of one build are kept together, and served together until the next build has been
// fetched whole and the last page of this one has been closed. Weights are not here: the library keeps them.

/** Written before this text by the build: its files, and the policy for answers that come from here. */
declare const BUILD: { readonly version: string; readonly files: readonly string[]; readonly policy: string };

const worker = self as unknown as ServiceWorkerGlobalScope;
const CACHE = `ocellus page ${BUILD.version}`;

worker.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll([...BUILD.files])));
});

worker.addEventListener("activate", (event) => {
  const clean = async (): Promise<void> => {
    const old = (await caches.keys()).filter((name) => name.startsWith("ocellus page ") && name !== CACHE);
    await Promise.all(old.map((name) => caches.delete(name)));
    await worker.clients.claim();
  };
  event.waitUntil(clean());
});

worker.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  const scope = worker.registration.scope;
  if (request.method !== "GET" || !url.href.startsWith(scope)) return;
  const name = url.pathname.slice(new URL(scope).pathname.length) || "index.html";
  if (!BUILD.files.includes(name)) return;
  event.respondWith(kept(name, request));
});

async function kept(name: string, request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  const found = await cache.match(new URL(name, worker.registration.scope).href);
  if (!found) return fetch(request);
  // A worker of the page has the policy of the answer that brought its script.
  const headers = new Headers(found.headers);
  headers.set("Content-Security-Policy", BUILD.policy);
  return new Response(found.body, { status: found.status, headers });
}
