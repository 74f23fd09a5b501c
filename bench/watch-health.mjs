// Asks a server for /health all the time, in a thread of its own; see `watch` in serve-load.mjs.
import { Agent, request } from "node:http";
import { parentPort, workerData as url } from "node:worker_threads";

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const agent = new Agent({ keepAlive: true });
const [times, late, statuses] = [[], [], {}];
let isOver = false;
parentPort.once("message", () => {
  isOver = true;
});
while (!isOver) {
  const begun = performance.now();
  const status = await new Promise((resolve) => {
    const asking = request(`${url}/health`, { agent }, (reply) => {
      reply.resume();
      reply.on("end", () => resolve(reply.statusCode));
    });
    asking.on("error", (error) => resolve(error.code));
    asking.end();
  });
  const slept = performance.now();
  times.push(slept - begun);
  statuses[status] = (statuses[status] ?? 0) + 1;
  await sleep(20);
  late.push(performance.now() - slept - 20);
}
agent.destroy();
const spread = (values) => {
  values.sort((a, b) => a - b);
  const at = (share) => Math.round(values[Math.floor((values.length - 1) * share)] * 10) / 10;
  return { median: at(0.5), p99: at(0.99), worst: at(1) };
};
parentPort.postMessage({ asked: times.length, ms: spread(times), timersLateMs: spread(late), statuses });
