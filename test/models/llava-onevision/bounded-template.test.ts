import { describe, expect, it } from "vitest";
import { BoundedTemplate, MOST_CHARACTERS, MOST_STEPS } from "../../../src/models/llava-onevision/bounded-template.js";
import { templateFromCheckpoint } from "../../../src/models/llava-onevision/jinja-template.js";

const MESSAGES = [{ role: "user", content: "hello" }];
const render = (source: string): string => new BoundedTemplate(source).render(MESSAGES, {});

describe("a template of a checkpoint", () => {
  it("has the globals of the library", () => {
    expect(render("{% for i in range(2, 8, 3) %}{{ i }},{% endfor %}{{ true and None is none }}")).toBe("2,5,true");
    expect(render('{{ strftime_now("%Y") }}')).toMatch(/^\d{4}$/);
    expect(() => render('{{ raise_exception("roles must alternate") }}')).toThrow("roles must alternate");
    expect(render("{% for m in messages %}{{ m.role + m.content }}{% endfor %}")).toBe("userhello");
  });

  it.each([
    ["loops in loops", "{% for a in range(2000) %}{% for b in range(2000) %}x{% endfor %}{% endfor %}"],
    [
      "a list that doubles",
      "{% set n = namespace(s=[1, 2]) %}{% for a in range(40) %}{% set n.s = n.s + n.s %}{% endfor %}",
    ],
    [
      "a text that doubles",
      '{% set n = namespace(s="ab") %}{% for a in range(40) %}{% set n.s = n.s + n.s %}{% endfor %}',
    ],
    [
      "macros that call two",
      `${Array.from({ length: 40 }, (_, i) => `{% macro f${i}() %}{{ f${i + 1}() }}{{ f${i + 1}() }}{% endmacro %}`).join("")}{% macro f40() %}x{% endmacro %}{{ f0() }}`,
    ],
    ["a long indentation", '{{ "a\nb" | indent(100000000) }}'],
  ])("ends within its steps: %s", (_, source) => {
    expect(() => render(source)).toThrow(
      new RegExp(`a rendering of more than ${MOST_STEPS + 2000} steps|a text of \\d+ characters; at most 4194304`),
    );
  });

  it("is bounded before it is parsed", () => {
    const long = `{# ${"x".repeat(MOST_CHARACTERS)} #}`;
    expect(() => templateFromCheckpoint({ jinja: long })).toThrow(
      `chat_template.jinja: expected a Jinja template, got a template of ${long.length} characters; at most ${MOST_CHARACTERS}`,
    );
    expect(() => render(`a${" ".repeat(1001)}b`)).toThrow("more than 1000 spaces in a row");
    expect(() => render("{% for i in range(1000000) %}{% endfor %}")).toThrow("at most 100000 are allowed");
  });

  it("may render thousands of messages", () => {
    const messages = Array.from({ length: 3000 }, () => MESSAGES[0]!);
    const source =
      "{% for m in messages %}{% if m.role == 'user' %}{{ '<' + m.role + '>' + m.content }}{% endif %}{% endfor %}";
    expect(new BoundedTemplate(source).render(messages, {})).toHaveLength(3000 * "<user>hello".length);
  });
});
