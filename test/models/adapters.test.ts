import { describe, expect, test } from "vitest";
import { convertCheckpoint } from "../../src/models/convert.js";
import type { ChatMessage } from "../../src/models/llava-onevision/processor.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { checkpointFiles } from "../support/checkpoint.js";
import { checkGivenBack, sharedDevice } from "../support/device.js";
import { readFixture, readFixtureJson } from "../support/fixture.js";

// A LoRA adapter as PEFT saved it gives the ids of transformers with PEFT; see test/data/goldens/README.md.

interface Golden {
  readonly prompt_style: "hf" | "orig";
  readonly messages: ChatMessage[];
  readonly greedy: { readonly ids: number[] };
}

describe.each(["hf-05b-like", "lmms-7b-like"])("%s", (folder) => {
  const parts = async () => {
    const golden = await readFixtureJson<Golden>(`goldens/${folder}/cases/text.json`);
    const adapted = await readFixtureJson<{ greedy_ids: number[] }>(`goldens/adapters/${folder}/greedy.json`);
    const device = await sharedDevice({ features: "all" });
    const files = await checkpointFiles(`goldens/${folder}`);
    const from = await Promise.all(
      ["adapter_config.json", "adapter_model.safetensors"].map(
        async (name) => new File([new Uint8Array(await readFixture(`goldens/adapters/${folder}/${name}`))], name),
      ),
    );
    const template = golden.prompt_style === "orig" ? ("onevision" as const) : ("checkpoint" as const);
    const ask = async (model: LlavaOneVision, adapters?: readonly string[]): Promise<readonly number[]> => {
      const session = model.createSession({ adapters });
      const options = { template, maxNewTokens: golden.greedy.ids.length };
      const { tokens } = await session.generate(golden.messages, options).result;
      session.dispose();
      return tokens;
    };
    return { golden, adapted, device, files, from, ask };
  };

  test("an adapter kept apart is selected by session", async () => {
    const { golden, adapted, device, files, from, ask } = await parts();
    const model = await LlavaOneVision.load(files, { device, adapter: { from, name: "lora" } });
    expect(model.adapters).toEqual(["lora"]);
    expect(await ask(model)).toEqual(adapted.greedy_ids);
    expect(await ask(model, [])).toEqual(golden.greedy.ids);
    expect(await ask(model, ["lora"])).toEqual(adapted.greedy_ids);
    expect(() => model.createSession({ adapters: ["other"] })).toThrow('names among lora, got "other"');
    model.dispose();
    await checkGivenBack(device);
  });

  test("an adapter merged into the weights gives the same ids", async () => {
    const { adapted, device, files, from, ask } = await parts();
    const model = await LlavaOneVision.load(files, { device, dtype: "f32", adapter: from, mergeAdapters: true });
    expect(model.adapters).toEqual([]);
    expect(await ask(model)).toEqual(adapted.greedy_ids);
    model.dispose();
    await checkGivenBack(device);
  });

  test("a checkpoint converted with an adapter gives the same ids", async () => {
    const { adapted, device, files, from, ask } = await parts();
    const converted: File[] = [];
    for await (const { name, chunks } of convertCheckpoint(files, { device, dtype: "f32", adapter: from })) {
      const bytes: Uint8Array<ArrayBuffer>[] = [];
      for await (const chunk of chunks) bytes.push(new Uint8Array(chunk));
      converted.push(new File(bytes, name));
    }
    const model = await LlavaOneVision.load(converted, { device });
    expect(await ask(model)).toEqual(adapted.greedy_ids);
    model.dispose();
    await checkGivenBack(device);
  });

  test("a weight of 0 changes nothing, and two halves are a whole", async () => {
    const { golden, adapted, device, files, from, ask } = await parts();
    const half = (name: string) => ({ from, name, weight: 0.5 });
    const model = await LlavaOneVision.load(files, {
      device,
      adapter: [half("a"), half("b"), { from, name: "none", weight: 0 }],
    });
    expect(await ask(model, ["none"])).toEqual(golden.greedy.ids);
    expect(await ask(model, ["a", "b"])).toEqual(adapted.greedy_ids);
    model.dispose();
    await checkGivenBack(device);
  });
});
