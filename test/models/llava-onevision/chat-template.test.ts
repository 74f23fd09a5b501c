import { describe, expect, it } from "vitest";
import { CheckpointError, PromptError } from "../../../src/base/errors.js";
import { ChatTemplate } from "../../../src/models/llava-onevision/chat-template.js";
import { templateFromCheckpoint } from "../../../src/models/llava-onevision/jinja-template.js";
import type { Message } from "../../../src/models/llava-onevision/messages.js";
import { failure } from "../../support/failure.js";

const HF =
  "{% for m in messages %}{{ m['role'] }}:{% for p in m['content'] | selectattr('type', 'equalto', 'image') %}<image>{% endfor %}{% for p in m['content'] | selectattr('type', 'equalto', 'video') %}<video>{% endfor %}{% for p in m['content'] | selectattr('type', 'equalto', 'text') %}{{ p['text'] }}{% endfor %};{% endfor %}";
const QWEN2 =
  "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

describe("ChatTemplate", () => {
  const chat: Message[] = [
    { role: "user", content: [{ type: "video" }, { type: "text", text: "Q1" }, { type: "image" }] },
    { role: "assistant", content: "A1" },
    { role: "user", content: "Q2" },
  ];

  it("prefers chat_template.jinja, then chat_template.json, then tokenizer_config.json, then the built-in form", () => {
    const one = HF.replace(";", "1;");
    const two = HF.replace(";", "2;");
    const three = HF.replace(";", "3;");
    const origin = (files: Parameters<typeof templateFromCheckpoint>[0]) => {
      const template = templateFromCheckpoint(files);
      return [template.origin, template.render([{ role: "user", content: "x" }])];
    };
    const tokenizerConfig = { chat_template: three };
    const json = { chat_template: two };
    expect(origin({ jinja: one, json, tokenizerConfig })).toEqual(["chat_template.jinja", "user:x1;"]);
    expect(origin({ json, tokenizerConfig })).toEqual(["chat_template.json", "user:x2;"]);
    expect(origin({ tokenizerConfig })).toEqual(["tokenizer_config.json: chat_template", "user:x3;"]);
    expect(templateFromCheckpoint({ tokenizerConfig: {} })).toBe(ChatTemplate.onevision);
    const named = [
      { name: "tool_use", template: "no" },
      { name: "default", template: one },
    ];
    expect(origin({ tokenizerConfig: { chat_template: named } })[1]).toBe("user:x1;");
    expect(origin({ json: { chat_template: { default: two } } })[1]).toBe("user:x2;");
  });

  it("gives a text-only template strings, which for Qwen2's equals the built-in form", () => {
    const template = templateFromCheckpoint({ tokenizerConfig: { chat_template: QWEN2 } });
    const expected =
      "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<image> <image>\nQ1<|im_end|>\n" +
      "<|im_start|>assistant\nA1<|im_end|>\n<|im_start|>user\nQ2<|im_end|>\n<|im_start|>assistant\n";
    expect(template.render(chat)).toBe(expected);
    expect(ChatTemplate.onevision.render(chat)).toBe(expected);
  });

  it("reads every end of a line as a line feed", () => {
    const of = (source: string) => templateFromCheckpoint({ jinja: source }).render([{ role: "user", content: "x" }]);
    const lines = `{% for m in messages %}a\nb{{ '\n' }}{{ m['content'] }}{% endfor %}\nc`;
    expect(of(lines.replaceAll("\n", "\r\n"))).toBe(of(lines));
    expect(of(lines.replaceAll("\n", "\r"))).toBe(of(lines));
  });

  it("keeps the caller's system message", () => {
    const messages: Message[] = [{ role: "system", content: "Be brief." }, ...chat.slice(2)];
    expect(ChatTemplate.onevision.render(messages)).toBe(
      "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nQ2<|im_end|>\n<|im_start|>assistant\n",
    );
  });

  it("never shows payloads to the template", () => {
    const payload = {
      get image(): never {
        throw new Error("was read");
      },
    };
    const messages = [
      { role: "user" as const, content: [Object.assign(Object.create(payload), { type: "image" as const })] },
    ];
    expect(templateFromCheckpoint({ jinja: HF }).render(messages)).toBe("user:<image>;");
  });

  // Expected texts by Jinja 3.1.6 with trim_blocks and lstrip_blocks, as the reference sets it up.
  it.each([
    ["a \n {% generation %} \n b{{ x }} \n {% endgeneration %} \n c", "a \n \n bX \n \n c"],
    ["a \n {% generation %} \n b{{ x }} \n {% endgeneration -%} \n c", "a \n \n bX \nc"],
    ["a \n {% generation %} \n b{{ x }} \n {%- endgeneration %} \n c", "a \n \n bX \n c"],
    ["a \n {% generation %} \n b{{ x }} \n {%- endgeneration -%} \n c", "a \n \n bXc"],
    ["a \n {% generation -%} \n b{{ x }} \n {% endgeneration %} \n c", "a \nbX \n \n c"],
    ["a \n {% generation -%} \n b{{ x }} \n {% endgeneration -%} \n c", "a \nbX \nc"],
    ["a \n {% generation -%} \n b{{ x }} \n {%- endgeneration %} \n c", "a \nbX \n c"],
    ["a \n {% generation -%} \n b{{ x }} \n {%- endgeneration -%} \n c", "a \nbXc"],
    ["a \n {%- generation %} \n b{{ x }} \n {% endgeneration %} \n c", "a \n bX \n \n c"],
    ["a \n {%- generation %} \n b{{ x }} \n {% endgeneration -%} \n c", "a \n bX \nc"],
    ["a \n {%- generation %} \n b{{ x }} \n {%- endgeneration %} \n c", "a \n bX \n c"],
    ["a \n {%- generation %} \n b{{ x }} \n {%- endgeneration -%} \n c", "a \n bXc"],
    ["a \n {%- generation -%} \n b{{ x }} \n {% endgeneration %} \n c", "abX \n \n c"],
    ["a \n {%- generation -%} \n b{{ x }} \n {% endgeneration -%} \n c", "abX \nc"],
    ["a \n {%- generation -%} \n b{{ x }} \n {%- endgeneration %} \n c", "abX \n c"],
    ["a \n {%- generation -%} \n b{{ x }} \n {%- endgeneration -%} \n c", "abXc"],
    ["foo {% generation %}{{- x }}{% endgeneration %} bar", "foo X bar"],
    ["{% generation %}  {%- endgeneration %}|", "|"],
    ["{{ x -}} {% generation %} {{ x }} {% endgeneration %}", "X X "],
    ["{%generation%}{{x}}{%endgeneration%}", "X"],
    ["  {% generation %}\n{{ x }}\n  {% endgeneration %}\nend\n", "X\nend"],
    ["a{%-generation-%} b {%-endgeneration-%} c", "abc"],
  ])("ignores the generation block in %j", (body, expected) => {
    // The first line makes it a template for pictures; `x` is set as a template would.
    const template = templateFromCheckpoint({ jinja: `${HF}{% set x = 'X' %}#\n${body}` });
    expect(template.render([{ role: "user", content: "q" }])).toBe(`user:q;#\n${expected}`);
  });

  it("refuses broken files as a fault of the checkpoint", () => {
    const broken = (files: Parameters<typeof templateFromCheckpoint>[0]) =>
      failure(CheckpointError, () => templateFromCheckpoint(files)).message;
    expect(broken({ jinja: "{% for m in %}" })).toMatch(/^chat_template\.jinja: expected a Jinja template/);
    expect(broken({ jinja: "{% no_such_tag %}" })).toContain("no_such_tag");
    expect(broken({ jinja: "the same text whatever is asked" })).toContain("<image>");
    expect(broken({ json: {} })).toMatch(/^chat_template\.json: expected a template/);
    expect(broken({ json: { chat_template: [{ name: "rag", template: "x" }] } })).toContain("names rag");
    expect(broken({ tokenizerConfig: { chat_template: 7 } })).toMatch(/^tokenizer_config\.json: chat_template/);
  });

  it("counts with range, and refuses one that would take all memory", () => {
    const ranges = (jinja: string) =>
      templateFromCheckpoint({ jinja: `${HF}${jinja}` }).render([{ role: "user", content: "x" }]);
    expect(ranges("{% for i in range(3) %}{{ i }}{% endfor %}")).toBe("user:x;012");
    expect(ranges("{% for i in range(5, 0, -2) %}{{ i }}{% endfor %}")).toBe("user:x;531");
    expect(ranges("{% for i in range(2, 2) %}{{ i }}{% endfor %}")).toBe("user:x;");
    for (const large of ["range(1000000000)", "range(0, 1000000000, 7)", "range(0, 1, 0.0000001)"]) {
      const error = failure(CheckpointError, () => ranges(`{% for i in ${large} %}a{% endfor %}`));
      expect(error.message).toMatch(/at most 100000 are allowed/);
    }
  });

  it("reports what a template refuses as a fault of the prompt", () => {
    const picky = `{% if messages | length > 1 %}{{ raise_exception('one message only') }}{% endif %}${HF}`;
    const template = templateFromCheckpoint({ jinja: picky });
    expect(template.render([{ role: "user", content: "x" }])).toBe("user:x;");
    expect(failure(PromptError, () => template.render(chat)).message).toContain("one message only");
  });
});
