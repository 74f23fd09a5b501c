// `ocellus serve` under load while its model's process is killed, its device is lost, or half of the requests are hostile:
//
//   node bench/serve-faults.mjs kills 20     # SIGKILL of the model's process
//   node bench/serve-faults.mjs losses 100   # its GPU device destroyed
//   node bench/serve-faults.mjs both 4       # in turn
//   node bench/serve-faults.mjs mixed 60 500 # seconds, and requests at once
//
// Every answer is compared with the one of an undisturbed server. Prints a line of JSON; the status is 1 if an answer was wrong or lost, or
// the server was not ready again in time. Run `npm run build` before. Signals: not on Windows.
import { good, HOSTILE, peakMB, random, send, sleep, start, stop, undisturbed, watch } from "./serve-load.mjs";

const [mode = "", first = "3", second = "50"] = process.argv.slice(2);
/** Good requests at once in `kills` and `losses`. */
const WORKERS = 6;
/** Answers between two disturbances, which may be long in coming: the first compile pipelines. The next is at most this many ms later. */
const ANSWERS = 3;
const STAGE_MS = 1500;
/** Seconds after the load time within which the server must be ready again. */
const SLACK_S = 2;

/** Disturbs `number` times, by the signals in turn. */
async function disturbed(number, ...signals) {
  const server = await start();
  const expected = await undisturbed(server);
  const counts = { answered: 0, refused: 0, interrupted: 0, endedTwice: 0, wrong: [] };
  let isOver = false;
  const watched = watch(server);
  const workers = Array.from({ length: WORKERS }, () => good(server, expected, counts, () => isOver));
  const gone = new Promise((_, reject) =>
    server.child.once("exit", (status) => isOver || reject(new Error(`the server ended: ${status}`))),
  );
  const failed = Promise.all([gone, ...workers]);
  failed.catch(() => {});
  const over = [];
  const unready = [];
  let peak = 0;
  const disturbing = (async () => {
    for (let i = 0; i < number; i++) {
      const before = counts.answered;
      while (i > 0 && counts.answered < before + ANSWERS) await sleep(5);
      await sleep(random(STAGE_MS));
      const signal = signals[i % signals.length];
      const { pid } = server.readies.at(-1);
      peak = Math.max(peak, peakMB(pid) ?? 0);
      const begun = performance.now();
      process.kill(pid, signal);
      while (server.readies.length < i + 2) await sleep(2);
      const { at, seconds } = server.readies.at(-1);
      const lost = signal === "SIGUSR2" ? server.destroyed.at(-1) : begun;
      over.push((at - lost) / 1000 - seconds);
      unready.push(server.losses[i].at - lost);
    }
  })();
  await Promise.race([disturbing, failed]);
  isOver = true;
  await Promise.all(workers);
  const health = await watched();
  const serverMB = peakMB(server.child.pid);
  await stop(server);
  const loads = server.readies.map(({ seconds }) => seconds).sort((a, b) => a - b);
  const seconds = (values) => Math.round(Math.max(...values) * 1000) / 1000;
  report({
    adapter: server.readies[0].adapter,
    disturbances: number,
    ...counts,
    loadSeconds: { median: loads[Math.floor(loads.length / 2)], most: loads.at(-1) },
    worstSecondsBeyondLoad: seconds(over),
    worstMsUntilUnready: Math.round(Math.max(...unready)),
    reasons: [...new Set(server.losses.map(({ reason }) => reason))],
    health,
    peakMB: { server: serverMB, model: peak },
    others: server.errors.slice(0, 3),
    otherErrors: server.errors.filter(({ event }) => event === "error").length,
    failed: counts.wrong.length > 0 || seconds(over) > SLACK_S || server.losses.length !== number,
  });
}

async function mixed(seconds, atOnce) {
  const server = await start("--queue", "2000", "--timeout", "280");
  const expected = await undisturbed(server);
  const counts = { answered: 0, refused: 0, interrupted: 0, endedTwice: 0, wrong: [] };
  const statuses = {};
  const until = performance.now() + seconds * 1000;
  const isOver = () => performance.now() > until;
  const watched = watch(server);
  const hostile = async () => {
    while (!isOver()) {
      const { status } = await send(server, HOSTILE[random(HOSTILE.length)]());
      statuses[status] = (statuses[status] ?? 0) + 1;
    }
  };
  const workers = Array.from({ length: atOnce }, (_, i) =>
    i % 2 === 0 ? good(server, expected, counts, isOver) : hostile(),
  );
  await Promise.all(workers);
  const health = await watched();
  const peak = { server: peakMB(server.child.pid), model: peakMB(server.readies.at(-1).pid) };
  // Afterwards it answers as before.
  const after = await undisturbed(server);
  await stop(server);
  const allowed = ["200", "400", "403", "404", "408", "413", "415", "429", "left", "ECONNRESET", "EPIPE"];
  report({
    adapter: server.readies[0].adapter,
    seconds,
    atOnce,
    ...counts,
    hostile: statuses,
    losses: server.losses.map(({ reason }) => reason),
    others: server.errors.slice(0, 5),
    health,
    peakMB: peak,
    failed:
      counts.wrong.length > 0 ||
      counts.interrupted + counts.endedTwice + server.losses.length > 0 ||
      JSON.stringify(after) !== JSON.stringify(expected) ||
      Object.keys(statuses).some((status) => !allowed.includes(status)),
  });
}

function report(result) {
  console.log(JSON.stringify({ mode, date: new Date().toISOString().slice(0, 10), ...result }));
  process.exitCode = result.failed ? 1 : 0;
}

if (mode === "kills") await disturbed(Number(first), "SIGKILL");
else if (mode === "losses") await disturbed(Number(first), "SIGUSR2");
else if (mode === "both") await disturbed(Number(first), "SIGUSR2", "SIGKILL");
else if (mode === "mixed") await mixed(Number(first), Number(second));
else throw new Error("kills N, losses N, both N, or mixed SECONDS AT_ONCE");
