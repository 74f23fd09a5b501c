import { lookup } from "node:dns/promises";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { BlockList, isIP } from "node:net";
import { unlessAborted } from "../base/abort.js";
import { causeMessage } from "../base/cause-message.js";
import { RequestError } from "../openai/api-error.js";
import type { ReadMedia } from "../openai/content.js";

const MOST_REDIRECTS = 3;
const MOST_BYTES = 32 * 2 ** 20;
const SECONDS = 20;

/** Non-public IPv4 ranges: loopback, private, link-local, documentation, multicast. */
const RESERVED = new BlockList();
for (const [net, prefix] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
] as const) {
  RESERVED.addSubnet(net, prefix, "ipv4");
}
/** IPv6: only global unicast, without transition and documentation ranges. */
const GLOBAL = new BlockList();
GLOBAL.addSubnet("2000::", 3, "ipv6");
const WRAPPED = new BlockList();
for (const [net, prefix] of [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
] as const) {
  WRAPPED.addSubnet(net, prefix, "ipv6");
}

/** Whether an address is public. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !RESERVED.check(address, "ipv4");
  return family === 6 && GLOBAL.check(address, "ipv6") && !WRAPPED.check(address, "ipv6");
}

/**
 * Fetches pictures and clips for clients, protected against server-side request forgery: http and https only, all resolved addresses
 * must be public, and the connection uses the checked address; redirects, size and time are bounded. Throws RequestError.
 */
export function remoteMedia(isAllowed: (address: string) => boolean = isPublicAddress, seconds = SECONDS): ReadMedia {
  return async (text, { param, signal }) => {
    const fail = (expected: string, got: string): RequestError =>
      new RequestError(param, { expected, got, remedy: "send the bytes as data:…;base64,…" });
    // Not AbortSignal.timeout: within AbortSignal.any it is collected as garbage, and never fires.
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), seconds * 1000);
    const limited = AbortSignal.any([signal, late.signal]);
    try {
      let url = text;
      for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
        const place = URL.canParse(url) ? new URL(url) : undefined;
        if (!place || !/^https?:$/.test(place.protocol)) throw fail("an http or https URL", url.slice(0, 60));
        try {
          // A name server that does not answer cannot be interrupted.
          const address = await unlessAborted(addressOf(place, isAllowed), limited, place.host);
          const answer = await ask(place, address, limited);
          if (answer instanceof Uint8Array) return answer;
          url = new URL(answer, place).href;
        } catch (cause) {
          if (signal.aborted) throw cause;
          const got = late.signal.aborted ? `none within ${seconds} s` : causeMessage(cause);
          throw fail(`a file of at most ${MOST_BYTES} bytes from ${place.host}`, got);
        }
      }
      throw fail(`at most ${MOST_REDIRECTS} redirects`, "more");
    } finally {
      clearTimeout(timer);
    }
  };
}

async function addressOf(
  url: URL,
  isAllowed: (address: string) => boolean,
): Promise<{ address: string; family: number }> {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const found = isIP(host) ? [{ address: host, family: isIP(host) }] : await lookup(host, { all: true });
  // A name must not resolve to both public and private addresses.
  if (found.length === 0 || !found.every(({ address }) => isAllowed(address)))
    throw new Error("an address that is not public");
  return found[0]!;
}

/** Returns the bytes, or the target of a redirect. */
function ask(url: URL, pinned: { address: string; family: number }, signal: AbortSignal): Promise<Uint8Array | string> {
  const request = url.protocol === "https:" ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const options = {
      signal,
      agent: false,
      headers: { accept: "image/*, video/*" },
      lookup: (
        _host: string,
        { all }: { all?: boolean },
        done: (error: null, address: string | { address: string; family: number }[], family?: number) => void,
      ) => (all ? done(null, [pinned]) : done(null, pinned.address, pinned.family)),
    };
    const asking = request(url, options as Parameters<typeof requestHttp>[1] & object, (response) => {
      const { statusCode = 0, headers } = response;
      const refuse = (got: string): void => {
        asking.destroy();
        reject(new Error(got));
      };
      if (statusCode >= 300 && statusCode < 400 && headers.location) {
        asking.destroy();
        return resolve(headers.location);
      }
      if (statusCode !== 200) return refuse(`HTTP ${statusCode}`);
      if (Number(headers["content-length"] ?? 0) > MOST_BYTES) return refuse(`${headers["content-length"]} bytes`);
      const chunks: Uint8Array[] = [];
      let size = 0;
      response.on("data", (chunk: Uint8Array) => {
        size += chunk.length;
        if (size > MOST_BYTES) refuse("more bytes");
        else chunks.push(chunk);
      });
      response.on("end", () => resolve(new Uint8Array(Buffer.concat(chunks))));
      response.on("error", reject);
    });
    asking.on("error", reject);
    asking.end();
  });
}
