/** Callers that are remembered; least recently seen ones are forgotten first. */
const MOST_CALLERS = 10_000;

/** What a request costs its caller. */
export interface Allowance {
  readonly allowed: boolean;
  readonly headers: Readonly<Record<string, string>>;
}

/** A token bucket per caller: `perMinute` requests at once, which come back evenly over a minute. */
export class RateLimit {
  readonly #buckets = new Map<string, { left: number; at: number }>();

  constructor(
    readonly perMinute: number,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Takes one request of this caller, if there is one left. */
  take(caller: string): Allowance {
    const now = this.now();
    const before = this.#buckets.get(caller) ?? { left: this.perMinute, at: now };
    const perMs = this.perMinute / 60_000;
    const left = Math.min(this.perMinute, before.left + (now - before.at) * perMs);
    const allowed = left >= 1;
    const after = allowed ? left - 1 : left;
    this.#buckets.delete(caller);
    this.#buckets.set(caller, { left: after, at: now });
    if (this.#buckets.size > MOST_CALLERS) this.#buckets.delete(this.#buckets.keys().next().value!);
    const seconds = (requests: number): number => Math.max(0, requests / perMs / 1000);
    return {
      allowed,
      headers: {
        "x-ratelimit-limit-requests": String(this.perMinute),
        "x-ratelimit-remaining-requests": String(Math.floor(after)),
        "x-ratelimit-reset-requests": `${seconds(this.perMinute - after).toFixed(1)}s`,
        ...(!allowed && { "retry-after": String(Math.ceil(seconds(1 - left))) }),
      },
    };
  }
}

/** The part of an address that one caller has: all of IPv4, and the 64 bits of an IPv6 network. */
export function callerOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.replace(/%.*$/, "").split("::");
  const groups = head === "" ? [] : head.split(":");
  const end = tail ? tail.split(":") : [];
  const zeros = tail === undefined ? 0 : 8 - groups.length - end.length;
  return `${[...groups, ...Array(zeros).fill("0"), ...end].slice(0, 4).join(":")}::/64`;
}
