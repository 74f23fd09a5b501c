import { expect, test } from "vitest";
import { callerOf, RateLimit } from "../../src/server/rate-limit.js";

test("requests come back evenly over a minute, for each caller", () => {
  let now = 0;
  const limit = new RateLimit(3, () => now);
  const take = (caller = "a"): boolean => limit.take(caller).allowed;
  expect([take(), take(), take(), take(), take("b")]).toEqual([true, true, true, false, true]);
  now += 19_999;
  expect(take()).toBe(false);
  now += 2;
  expect([take(), take()]).toEqual([true, false]);
  now += 600_000;
  expect([take(), take(), take(), take()]).toEqual([true, true, true, false]);
});

test("headers say what is left, when all is back, and when to try again", () => {
  const limit = new RateLimit(2, () => 0);
  expect(limit.take("a").headers).toEqual({
    "x-ratelimit-limit-requests": "2",
    "x-ratelimit-remaining-requests": "1",
    "x-ratelimit-reset-requests": "30.0s",
  });
  limit.take("a");
  expect(limit.take("a").headers).toMatchObject({
    "x-ratelimit-remaining-requests": "0",
    "x-ratelimit-reset-requests": "60.0s",
    "retry-after": "30",
  });
});

test("callers that were not seen for long are forgotten", () => {
  const limit = new RateLimit(1, () => 0);
  limit.take("first");
  limit.take("second");
  limit.take("first");
  for (let i = 0; i < 9_999; i++) limit.take(`caller ${i}`);
  expect([limit.take("first").allowed, limit.take("second").allowed]).toEqual([false, true]);
});

test.each([
  ["127.0.0.1", "127.0.0.1"],
  ["::ffff:10.0.0.1", "10.0.0.1"],
  ["::1", "0:0:0:0::/64"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:db8::5:6", "2001:db8:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
])("the caller at %s: %s", (address, caller) => {
  expect(callerOf(address)).toBe(caller);
});
