import { expect, test } from "vitest";
import { escaped } from "../../src/bench/html-text.js";

test("nothing in a text is markup", () => {
  expect(escaped(`<a href="x" title='y'>&amp;</a>`)).toBe(
    "&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;amp;&lt;/a&gt;",
  );
  expect(escaped("1×896 → f32")).toBe("1×896 → f32");
});
