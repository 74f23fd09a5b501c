import { describe, expect, test } from "vitest";
import { CheckpointError, OptionError, SourceError } from "../../../src/base/errors.js";
import { NotFoundError } from "../../../src/io/bytes/http-ranges.js";
import { HubClient, type HubClientOptions } from "../../../src/io/hub/hub-client.js";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const OID = "a".repeat(40);
const HUB = "https://hub.test";

/** A client whose requests get the given answers, in turn, and the addresses it asked for. */
function clientOf(answers: (() => Response)[], options: HubClientOptions = {}) {
  const asked: { path: string; headers: Headers }[] = [];
  const fetch: typeof globalThis.fetch = async (input, init) => {
    asked.push({ path: String(input).slice(HUB.length), headers: new Headers(init?.headers) });
    const answer = answers[asked.length - 1];
    if (!answer) throw new Error(`an answer too few, for ${String(input)}`);
    return answer();
  };
  const client = new HubClient("org/name", { endpoint: HUB, retryDelayMilliseconds: 0, fetch, ...options });
  return { client, asked };
}

const status = (code: number, errorCode?: string) => () =>
  new Response("", { status: code, headers: errorCode ? { "x-error-code": errorCode, "x-error-message": "No." } : {} });
const json = (value: unknown, headers?: Record<string, string>) => () =>
  Response.json(value, { ...(headers && { headers }) });

describe("the endpoint", () => {
  test("is the public hub's unless another is given, without the slashes at its end", () => {
    expect(new HubClient("org/name", {}).endpoint).toBe("https://huggingface.co");
    expect(new HubClient("org/name", { endpoint: "http://mirror.test:8080//" }).where).toBe(
      "org/name on mirror.test:8080",
    );
  });

  test.each(["huggingface.co", "ftp://hub.test", "https://", ""])("%j is refused", (endpoint) => {
    expect(() => new HubClient("org/name", { endpoint })).toThrow(OptionError);
    expect(() => new HubClient("org/name", { endpoint })).toThrow(
      "endpoint of the hub (HF_ENDPOINT): expected an address with http or https",
    );
  });
});

test("the address of a file has its folders, and its names encoded", () => {
  const { client } = clientOf([]);
  expect(client.urlOf(COMMIT, "a folder/100%#1.json")).toBe(
    `${HUB}/org/name/resolve/${COMMIT}/a%20folder/100%25%231.json`,
  );
});

describe("commitOf", () => {
  test("asks for the revision, its slash encoded, with the token", async () => {
    const { client, asked } = clientOf([json({ sha: COMMIT })], { token: "hf_secret", headers: { "X-A": "b" } });
    expect(await client.commitOf("refs/pr/1")).toBe(COMMIT);
    expect(asked[0]!.path).toBe("/api/models/org/name/revision/refs%2Fpr%2F1");
    expect(["authorization", "x-a", "accept"].map((name) => asked[0]!.headers.get(name))).toEqual([
      "Bearer hf_secret",
      "b",
      "application/json",
    ]);
  });

  test.each([{ sha: COMMIT.toUpperCase() }, { sha: "main" }, {}, [], null])(
    "no commit in %j: no hub",
    async (answer) => {
      const asking = clientOf([json(answer)]).client.commitOf("main");
      await expect(asking).rejects.toThrow(SourceError);
      await expect(asking).rejects.toThrow("org/name on hub.test: expected the commit of main, got something else");
    },
  );

  test("retries a server's fault, and no other status", async () => {
    const { client, asked } = clientOf([status(503), status(429), json({ sha: COMMIT })]);
    expect(await client.commitOf("main")).toBe(COMMIT);
    expect(asked).toHaveLength(3);
    const other = clientOf([status(418)]);
    await expect(other.client.commitOf("main")).rejects.toThrow("expected an answer, got status 418");
    expect(other.asked).toHaveLength(1);
  });

  test("text that is not JSON is a login page's, not retried", async () => {
    const { client, asked } = clientOf([() => new Response("<html>")]);
    await expect(client.commitOf("main")).rejects.toThrow("expected JSON, got something else — check the endpoint");
    expect(asked).toHaveLength(1);
  });

  test("looks for a dataset and a space of a name that no model has", async () => {
    const found = clientOf([status(401, "RepoNotFound"), status(404), json({ id: "org/name" })]);
    await expect(found.client.commitOf("main")).rejects.toThrow("got a space's");
    expect(found.asked.slice(1).map(({ path }) => path)).toEqual(["/api/datasets/org/name", "/api/spaces/org/name"]);
    // Renamed: the hub answers for another name.
    const none = clientOf([status(401, "RepoNotFound"), json({ id: "org/other" }), status(401)]);
    await expect(none.client.commitOf("main")).rejects.toThrow("none of that name, or a private one (status 401: No.)");
  });
});

describe("files", () => {
  const file = (path: string) => ({ type: "file", path, size: 3, oid: OID });

  test("come from all pages, whichever host the link names, without folders", async () => {
    const link = { link: '<https://elsewhere.test/x?cursor=2>; rel="next"' };
    const folder = { type: "directory", path: "c", size: 0, oid: OID };
    const { client, asked } = clientOf([json([file("a"), folder], link), json([file("b")])]);
    expect((await client.files(COMMIT)).map(({ path }) => path)).toEqual(["a", "b"]);
    expect(asked.map(({ path }) => path)).toEqual([
      `/api/models/org/name/tree/${COMMIT}?recursive=true&expand=false`,
      `/api/models/org/name/tree/${COMMIT}?cursor=2`,
    ]);
  });

  test("end with a page that links to itself or to another relation", async () => {
    const itself = { link: '<?recursive=true&expand=false>; rel="next"' };
    const before = { link: '<?cursor=0>; rel="prev"' };
    for (const link of [itself, before]) {
      const { client, asked } = clientOf([json([file("a")], link)]);
      expect(await client.files(COMMIT)).toHaveLength(1);
      expect(asked).toHaveLength(1);
    }
  });

  test("have to be a list, of paths within the folder", async () => {
    await expect(clientOf([json({})]).client.files(COMMIT)).rejects.toThrow("expected a list of files");
    await expect(clientOf([json([file("../a")])]).client.files(COMMIT)).rejects.toThrow(CheckpointError);
  });

  test("have bounds, whatever the hub goes on to send", async () => {
    let pages = 0;
    const endless = () => json([file("a")], { link: `<${HUB}/x?cursor=${pages++}>; rel="next"` })();
    const { client, asked } = clientOf(Array(2000).fill(endless));
    await expect(client.files(COMMIT)).rejects.toThrow(
      "expected a listing of at most 1000 pages, got one that goes on",
    );
    expect(asked).toHaveLength(1000);

    let sent = 0;
    const chunk = new TextEncoder().encode(" ".repeat(2 ** 20));
    const flood = () =>
      new Response(new ReadableStream({ pull: (to) => (sent++ < 4096 ? to.enqueue(chunk) : to.close()) }));
    await expect(clientOf([flood]).client.files(COMMIT)).rejects.toThrow("expected answers of at most 16777216 bytes");
    expect(sent).toBeLessThan(30);

    const many = Array.from({ length: 100_001 }, () => ({ type: "file", path: "a", size: 1, oid: OID }));
    await expect(clientOf([json(many)]).client.files(COMMIT)).rejects.toThrow(
      "expected at most 100000 files, got more",
    );
  });
});

describe("a refusal", () => {
  const refusal = async (answer: () => Response, path = "/api/x", options: HubClientOptions = {}) => {
    const error = await clientOf([answer], options)
      .client.fetch(`${HUB}${path}`)
      .then(String, (thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Error);
    return error as Error;
  };

  test("of a file names its address", async () => {
    const path = `/org/name/resolve/${COMMIT}/a.json`;
    expect(await refusal(status(404), path)).toBeInstanceOf(NotFoundError);
    expect((await refusal(status(404, "EntryNotFound"))).message).toBe(
      `${HUB}/api/x: expected a file, got status 404: No. — check the name of the file`,
    );
    expect(await refusal(status(404))).not.toBeInstanceOf(NotFoundError);
  });

  test("of a revision and of a gated repository says what to do", async () => {
    expect((await refusal(status(404, "RevisionNotFound"))).message).toContain("no such revision (status 404: No.)");
    const gated = [status(403), status(401, "GatedRepo")];
    for (const answer of gated) {
      expect((await refusal(answer)).message).toContain(`its conditions at ${HUB}/org/name; set HF_TOKEN`);
    }
    const known = await refusal(status(403), "/api/x", { token: "hf_secret" });
    expect(known.message).toContain("check that the token belongs to that account");
    expect(known.message).not.toContain("hf_secret");
  });

  test("is not made of other statuses", async () => {
    expect((await clientOf([status(500)]).client.fetch(`${HUB}/x`)).status).toBe(500);
  });
});

test("a hub that falls silent is asked again, and is an error if it stays so", async () => {
  const silent = () => new Promise<Response>(() => {}) as unknown as Response;
  const stalled = () =>
    new Response(new ReadableStream({ start: (body) => body.enqueue(new TextEncoder().encode("[")) }));
  const patience = { idleMilliseconds: 20 };
  const { client, asked } = clientOf([silent, stalled, json([])], patience);
  expect(await client.files(COMMIT)).toEqual([]);
  expect(asked).toHaveLength(3);
  const mute = clientOf([silent, silent, silent, stalled], patience).client;
  await expect(mute.commitOf("main")).rejects.toThrow(/expected a response, got no (response|byte) in 0.02 seconds/);
});
