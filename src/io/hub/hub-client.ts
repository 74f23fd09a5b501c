/** HTTP client of the hub: resolves revisions, lists files, and returns their URLs. */

import { CheckpointError, OcellusError, OptionError, SourceError } from "../../base/errors.js";
import { concatBytes } from "../bytes/bytes.js";
import type { UrlOptions } from "../bytes/http-ranges.js";
import { NotFoundError } from "../bytes/http-ranges.js";
import { BrokenTransfer, chunksOf, fetchInTime, mayPass, retrying } from "../bytes/http-transfer.js";
import { isJsonObject, type JsonValue, parseJson } from "../text/json.js";
import { notAModel } from "./hub-address.js";
import { type HubFile, hubFile, PUBLIC_HUB } from "./hub-names.js";

const A_REPOSITORY = "a repository";
/** Maximum files of a listing; repositories of models have up to some hundreds. */
const MOST_FILES = 100_000;
/** Maximum pages of a listing; the public hub has 1,000 entries on each. */
const MOST_PAGES = 1000;
/** Maximum bytes of an answer; a page of a listing has 300 kB. */
const MOST_ANSWER_BYTES = 16 * 1024 * 1024;

export interface HubClientOptions
  extends Pick<UrlOptions, "headers" | "fetch" | "signal" | "retryDelayMilliseconds" | "idleMilliseconds"> {
  endpoint?: string | undefined;
  token?: string | undefined;
}

/**
 * Requests to one repository. Permanent failures (no such repository, no access) are typed errors.
 * Source: https://huggingface.co/docs/hub/api
 */
export class HubClient {
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly retryDelayMilliseconds: number;
  readonly idleMilliseconds: number | undefined;
  private readonly hasToken: boolean;

  /** @throws OptionError for an endpoint that is not an http(s) URL. */
  constructor(
    readonly name: string,
    private readonly options: HubClientOptions,
  ) {
    this.endpoint = (options.endpoint ?? PUBLIC_HUB).replace(/\/+$/, "");
    if (!/^https?:\/\/[^/]/i.test(this.endpoint)) {
      throw new OptionError({
        where: "endpoint of the hub (HF_ENDPOINT)",
        expected: "an address with http or https",
        got: this.endpoint,
        remedy: `give for example ${PUBLIC_HUB}`,
      });
    }
    this.hasToken = Boolean(options.token);
    // `fetch` drops this header on redirects to another origin (Fetch standard, section 4.4).
    this.headers = { ...options.headers, ...(options.token && { Authorization: `Bearer ${options.token}` }) };
    this.retryDelayMilliseconds = options.retryDelayMilliseconds ?? 500;
    this.idleMilliseconds = options.idleMilliseconds;
  }

  get where(): string {
    return `${this.name} on ${new URL(this.endpoint).host}`;
  }

  /** Resolves a branch or tag to its current commit. */
  async commitOf(revision: string): Promise<string> {
    const { json } = await this.json(`/api/models/${this.name}/revision/${encodeURIComponent(revision)}`).catch(
      async (cause: unknown) => {
        throw (await this.elsewhere(cause)) ?? cause;
      },
    );
    const commit = isJsonObject(json) ? json.sha : undefined;
    if (typeof commit === "string" && /^[0-9a-f]{40}$/.test(commit)) return commit;
    throw this.notAHub(`the commit of ${revision}`);
  }

  /** Returns the error if a dataset or a space has this name. */
  private async elsewhere(cause: unknown): Promise<CheckpointError | undefined> {
    if (!(cause instanceof CheckpointError) || cause.fault.expected !== A_REPOSITORY) return undefined;
    for (const kind of ["datasets", "spaces"]) {
      const there = await this.json(`/api/${kind}/${this.name}`).catch((error: unknown) => {
        if (error instanceof OcellusError && error.code === "ABORTED") throw error;
        return undefined;
      });
      if (isJsonObject(there?.json) && there.json.id === this.name) return notAModel(this.where, kind);
    }
    return undefined;
  }

  /** Lists all files of a commit. */
  async files(commit: string): Promise<HubFile[]> {
    const files: HubFile[] = [];
    let pages = 0;
    for (let query: string | undefined = "?recursive=true&expand=false"; query !== undefined; ) {
      if (++pages > MOST_PAGES) throw this.notAHub(`a listing of at most ${MOST_PAGES} pages`, "one that goes on");
      const { json, next }: Page = await this.json(`/api/models/${this.name}/tree/${commit}${query}`);
      if (!Array.isArray(json)) throw this.notAHub("a list of files");
      for (const entry of json) {
        if (!isJsonObject(entry) || entry.type !== "file") continue;
        const lfs = isJsonObject(entry.lfs) ? entry.lfs.oid : undefined;
        if (files.length >= MOST_FILES) throw this.notAHub(`at most ${MOST_FILES} files`, "more");
        files.push(hubFile(this.where, entry.path, entry.size, entry.oid, lfs, entry.xetHash));
      }
      query = next;
    }
    return files;
  }

  /** Returns the URL of a file; large files redirect to an object store. */
  urlOf(commit: string, path: string): string {
    return `${this.endpoint}/${this.name}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`;
  }

  /** `fetch` with typed errors for error statuses. */
  readonly fetch: typeof fetch = async (input, init) => {
    const send = this.options.fetch ?? ((request, how) => fetch(request, how));
    const response = await send(input, init);
    if (![401, 403, 404].includes(response.status)) return response;
    await response.body?.cancel();
    throw this.refused(String(input), response);
  };

  private async json(path: string): Promise<Page> {
    const url = `${this.endpoint}${path}`;
    const { signal } = this.options;
    return retrying(url, this.retryDelayMilliseconds, signal, async () => {
      const headers = { ...this.headers, Accept: "application/json" };
      const response = await fetchInTime(
        this.fetch,
        url,
        { headers, ...(signal && { signal }) },
        this.idleMilliseconds,
      );
      if (!response.ok) {
        await response.body?.cancel();
        if (mayPass(response.status)) throw new BrokenTransfer(`status ${response.status}`);
        throw this.notAHub("an answer", `status ${response.status}`);
      }
      const next = nextQuery(response.headers.get("link"), url);
      const text = await this.textOf(response);
      try {
        return { json: parseJson(text, url), next };
      } catch (cause) {
        throw cause instanceof OcellusError ? this.notAHub("JSON", "something else") : cause;
      }
    });
  }

  /** Reads an answer, up to its bound. */
  private async textOf(response: Response): Promise<string> {
    const chunks: Uint8Array[] = [];
    let received = 0;
    for await (const chunk of chunksOf(response, this.idleMilliseconds)) {
      received += chunk.length;
      if (received > MOST_ANSWER_BYTES) throw this.notAHub(`answers of at most ${MOST_ANSWER_BYTES} bytes`, "more");
      chunks.push(chunk);
    }
    return new TextDecoder().decode(concatBytes(chunks));
  }

  private refused(url: string, response: Response): OcellusError {
    const code = response.headers.get("x-error-code") ?? "";
    const words = response.headers.get("x-error-message");
    const detail = words ? `status ${response.status}: ${words}` : `status ${response.status}`;
    const where = this.where;
    if (code === "EntryNotFound" || (response.status === 404 && url.includes("/resolve/") && code === "")) {
      return new NotFoundError({ where: url, expected: "a file", got: detail, remedy: "check the name of the file" });
    }
    if (code === "RevisionNotFound") {
      const got = `no such revision (${detail})`;
      return new CheckpointError({ where, expected: "a branch, tag or commit", got, remedy: "check the revision" });
    }
    if (code === "GatedRepo" || response.status === 403) {
      const token = this.hasToken
        ? "check that the token belongs to that account and may read it"
        : "set HF_TOKEN or pass `token`";
      const remedy = `if it asks for it, accept its conditions at ${this.endpoint}/${this.name}; ${token}`;
      return new CheckpointError({ where, expected: "access", got: `a refusal (${detail})`, remedy });
    }
    const remedy = this.hasToken
      ? "check the name, and that the token is valid and may read it"
      : "check the name; if the repository is private, set HF_TOKEN or pass `token`";
    const got = `none of that name, or a private one (${detail})`;
    return new CheckpointError({ where, expected: A_REPOSITORY, got, remedy });
  }

  private notAHub(expected: string, got = "something else"): SourceError {
    const remedy = "check the endpoint (HF_ENDPOINT) and the network; a login page may stand in between";
    return new SourceError({ where: this.where, expected, got, remedy });
  }
}

interface Page {
  json: JsonValue;
  /** Query of the next page. */
  next: string | undefined;
}

/**
 * Returns the query of the next page (RFC 8288). Its origin is ignored: mirrors forward the links of the upstream hub, and the token
 * must be sent to the endpoint only.
 */
function nextQuery(link: string | null, url: string): string | undefined {
  const [, target] = /<([^>]+)>\s*;[^,]*rel="?next"?/i.exec(link ?? "") ?? [];
  const query = target === undefined ? "" : new URL(target, url).search;
  return query === "" || query === new URL(url).search ? undefined : query;
}
