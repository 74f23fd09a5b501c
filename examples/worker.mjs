// The model in a worker thread: this thread stays free while it answers.
//
//   node examples/worker.mjs [picture] [checkpoint]
import { parentPort, Worker } from "node:worker_threads";
import { serve, WorkerModel } from "ocellus/worker";

if (parentPort) {
  serve(parentPort);
} else {
  const worker = new Worker(new URL(import.meta.url));
  const model = await WorkerModel.load(worker, process.argv[3] ?? "models/tiny");
  let ticks = 0;
  const timer = setInterval(() => ticks++, 10);
  const { text } = await model.createSession().generate([
    { type: "image", image: process.argv[2] ?? "models/tiny/examples/07-marks.png" },
    { type: "text", text: "What is mark 1?" },
  ]).result;
  clearInterval(timer);
  console.log(`${text} (a timer of 10 ms ran ${ticks} times meanwhile)`);
  model.dispose();
  await worker.terminate();
}
