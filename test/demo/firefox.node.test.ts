import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { builtPage } from "../support/built-page.js";
import { bundleElsewhere, REPORT_MS } from "../support/bundle-elsewhere.js";
import { ROOT } from "../support/cli.js";
import type { Report } from "../support/elsewhere.js";
import { serveForReport } from "../support/elsewhere-server.js";
import { Firefox, missingForFirefox } from "../support/firefox.js";
import { expectSound } from "../support/sound-report.js";

// A real Firefox on lavapipe, without remote control: a script in the page does what a visitor does, and sends what came of it.

const missing = missingForFirefox();
if (missing) console.log(`Firefox is not tested: ${missing}`);

/** Opens a page in Firefox and returns what it reports. */
async function reportOf(pages: Readonly<Record<string, string>>, folders: readonly string[]): Promise<unknown> {
  const server = await serveForReport(pages, folders);
  const firefox = Firefox.open(server.url);
  try {
    return await server.report(REPORT_MS);
  } finally {
    await firefox.close();
    await server.close();
  }
}

interface Example {
  readonly question: string;
  readonly answer?: string;
  readonly files: readonly string[];
}

const EXAMPLES = JSON.parse(readFileSync(join(ROOT, "demo/examples.json"), "utf8")) as Example[];
const EXAMPLE = EXAMPLES.find(({ answer, files }) => answer !== undefined && files.length === 1)!;

/** Clicks on the example twice, the second time in a new conversation, with compiled kernels. */
const VISITOR = `
const errors = [];
addEventListener("error", ({ message }) => errors.push(message));
addEventListener("unhandledrejection", ({ reason }) => errors.push(String(reason)));
const until = async (find) => {
  for (;;) {
    const found = find();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
};
const button = (text) => [...document.querySelectorAll("button")].find((one) => (one.ariaLabel ?? one.textContent).includes(text));
const send = (report) => fetch("/report", { method: "POST", body: JSON.stringify({ ...report, errors }) });
addEventListener("load", async () => {
  const status = await until(() => document.querySelector(".model-status[data-phase=ready], .model-status[data-phase=failed]"));
  if (status.dataset.phase === "failed") return send({ failed: status.textContent });
  const turns = [];
  for (let i = 0; i < 2; i++) {
    (await until(() => button(${JSON.stringify(EXAMPLE.question)}))).click();
    const turn = await until(() => document.querySelector(".turn[data-phase=done], .turn[data-phase=failed]"));
    turns.push({ answer: turn.querySelector(".answer .markdown")?.textContent, text: turn.textContent });
    button("New conversation").click();
    await until(() => !document.querySelector(".turn"));
  }
  await send({ turns });
});
`;

describe.skipIf(missing)("Firefox on lavapipe", () => {
  let page: string;
  let program: string;
  beforeAll(async () => {
    page = await builtPage();
    program = await bundleElsewhere("browser");
  });
  afterAll(() => rmSync(program, { recursive: true, force: true }));

  test("the page loads, and the embedded checkpoint answers an example as in Chromium", async () => {
    const html = readFileSync(join(page, "index.html"), "utf8");
    const visited = html.replace("</head>", '<script src="./visitor.js"></script></head>');
    const report = await reportOf({ "/index.html": visited, "/visitor.js": VISITOR }, [page]);
    console.log(JSON.stringify(report));
    expect(report).toMatchObject({ errors: [], turns: [{ answer: EXAMPLE.answer }, { answer: EXAMPLE.answer }] });
  });

  test(
    "golden cases are the reference's",
    async () => {
      const html = '<!doctype html><script type="module" src="/program.js"></script>';
      const report = (await reportOf({ "/index.html": html }, [program, ROOT])) as Report;
      expectSound(report);
    },
    REPORT_MS + 60_000,
  );
});
