// A page that streams an answer; the model runs in a worker. `npx vite examples/page` serves it.
import { WorkerModel } from "ocellus/worker";

const [picture, question, ask, output] = ["picture", "question", "ask", "answer"].map((id) =>
  document.getElementById(id),
);
const checkpoint =
  new URLSearchParams(location.search).get("checkpoint") ?? "llava-hf/llava-onevision-qwen2-0.5b-ov-hf";
const worker = new Worker(new URL("./model-worker.js", import.meta.url), { type: "module" });
const model = WorkerModel.load(worker, checkpoint.includes("://") ? new URL(checkpoint) : checkpoint, {
  dtype: "q8",
  onProgress: ({ loadedBytes, totalBytes }) => {
    output.textContent = `${Math.round((100 * loadedBytes) / totalBytes)} % loaded`;
  },
});

ask.addEventListener("click", async () => {
  const session = (await model).createSession();
  try {
    const image = picture.files[0];
    const answer = session.generate([
      ...(image ? [{ type: "image", image }] : []),
      { type: "text", text: question.value },
    ]);
    output.textContent = "";
    for await (const { text } of answer) output.append(text);
    output.dataset.done = (await answer.result).finishReason;
  } catch (error) {
    output.textContent = error.message;
  } finally {
    session.dispose();
  }
});
