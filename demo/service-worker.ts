/// <reference lib="webworker" />

// Makes the page work offline. All files of one build are cached together, and served together until the next build has been
// fetched completely and the last page of this build has been closed. Weights are not here: the library caches them.

/** The build inserts this constant before this file: the files of the build, and the policy for responses from the cache. */
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
  if (!url.href.startsWith(scope)) return;
  if (request.method === "POST" && url.href === `${scope}share`) event.respondWith(share(request, scope));
  if (request.method !== "GET") return;
  const name = url.pathname.slice(new URL(scope).pathname.length) || "index.html";
  if (!BUILD.files.includes(name)) return;
  event.respondWith(cached(name, request));
});

/** Keeps pictures and clips that another app shares until the page takes them (talk/shared.ts). */
async function share(request: Request, scope: string): Promise<Response> {
  const data = await request.formData();
  const files = data.getAll("media").filter((value) => value instanceof File);
  const cache = await caches.open("ocellus shared");
  for (const [i, file] of files.entries()) {
    await cache.put(`${scope}shared/${i}/${encodeURIComponent(file.name)}`, new Response(file));
  }
  const text = data.get("text");
  const query = typeof text === "string" && text !== "" ? `&text=${encodeURIComponent(text)}` : "";
  return Response.redirect(`${scope}index.html?shared${query}`, 303);
}

async function cached(name: string, request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  const found = await cache.match(new URL(name, worker.registration.scope).href);
  if (!found) return fetch(request);
  // A worker has the policy of the response with its script.
  const headers = new Headers(found.headers);
  headers.set("Content-Security-Policy", BUILD.policy);
  return new Response(found.body, { status: found.status, headers });
}
