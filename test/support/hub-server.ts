import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** One request and what went out for it. */
export interface HubRequest {
  readonly host: "hub" | "store";
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
  bytesSent: number;
}

/** What goes wrong with the bytes of one file, in the order of the requests for it. */
export interface Fault {
  /** The connection breaks after so many bytes of the body. */
  cutAfterBytes?: number;
  status?: number;
  /** Nothing comes after so many bytes of the body, and the connection stays. */
  stallAfterBytes?: number;
  /** Another length is announced and sent. */
  extraBytes?: number;
  /** A byte is another one. */
  corrupt?: boolean;
  /** The answer waits for this. */
  until?: Promise<void>;
}

export interface HubFileContent {
  readonly bytes: Uint8Array;
  /** Kept in the store of large files, on another origin. */
  readonly large: boolean;
}

/** A hub on two ports of the loopback: pages, API and small files on one, large files on the other. */
export class HubServer {
  readonly requests: HubRequest[] = [];
  readonly faults = new Map<string, Fault[]>();
  /** Refuses requests without it. */
  token: string | undefined;
  gated = false;
  ranges = true;
  /** Entries on a page of the listing. */
  pageSize = 1000;
  branches: Record<string, string>;
  private servers: Server[] = [];
  endpoint = "";
  private store = "";

  constructor(
    readonly name: string,
    readonly commit: string,
    readonly files: Map<string, HubFileContent>,
  ) {
    this.branches = { main: commit };
  }

  async start(): Promise<this> {
    this.endpoint = await this.listen("hub", (request, response, entry) => this.hub(request, response, entry));
    this.store = await this.listen("store", (request, response, entry) => this.large(request, response, entry));
    return this;
  }

  /** Names of repositories that are no models, by the kind in their address. */
  others: Partial<Record<string, string[]>> = {};

  async stop(): Promise<void> {
    for (const server of this.servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
    this.servers = [];
  }

  /** Sent for a file, whichever host. */
  bytesOf(path: string): number {
    const of = this.requests.filter((request) => request.path.endsWith(`/${path}`));
    return of.reduce((sum, { bytesSent }) => sum + bytesSent, 0);
  }

  private async listen(
    host: HubRequest["host"],
    answer: (request: IncomingMessage, response: ServerResponse, entry: HubRequest) => Promise<void>,
  ): Promise<string> {
    const server = createServer((request, response) => {
      const { authorization, range } = request.headers;
      const entry = { host, method: request.method!, path: request.url!, range, authorization, bytesSent: 0 };
      this.requests.push(entry);
      answer(request, response, entry).catch(() => response.destroy());
    });
    this.servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  private async hub(request: IncomingMessage, response: ServerResponse, entry: HubRequest): Promise<void> {
    const { pathname, searchParams } = new URL(request.url!, this.endpoint);
    const authorized = this.token === undefined || request.headers.authorization === `Bearer ${this.token}`;
    const [, other] = /^\/api\/(datasets|spaces)\//.exec(pathname) ?? [];
    const id = pathname.slice(`/api/${other}/`.length);
    if (other !== undefined && this.others[other]?.includes(id)) return json(response, { id });
    const api = `/api/models/${this.name}/`;
    if (pathname.startsWith(api)) {
      if (!authorized) return refuse(response, 401, "RepoNotFound", "Repository not found");
      const [kind, given] = pathname.slice(api.length).split("/").map(decodeURIComponent);
      const commits = [this.commit, ...Object.values(this.branches)];
      const commit = this.branches[given!] ?? commits.find((known) => known === given);
      if (!commit) return refuse(response, 404, "RevisionNotFound", `Invalid rev id: ${given}`);
      if (kind === "revision") return json(response, { id: this.name, sha: commit, siblings: this.siblings() });
      return this.page(response, api, commit, Number(searchParams.get("cursor") ?? 0));
    }
    const [, revision, path] = new RegExp(`^/${this.name}/resolve/([^/]+)/(.+)$`).exec(pathname) ?? [];
    if (revision === undefined || !authorized) return refuse(response, 401, "RepoNotFound", "Repository not found");
    const commit = this.branches[decodeURIComponent(revision)] ?? revision;
    const file = this.files.get(decodeURIComponent(path!));
    response.setHeader("X-Repo-Commit", commit);
    if (!file) return refuse(response, 404, "EntryNotFound", "Entry not found");
    if (this.gated) return refuse(response, 403, "GatedRepo", "Access to model is restricted");
    if (!file.large) {
      response.setHeader("ETag", `"${gitHash(file.bytes)}"`);
      return this.send(request, response, entry, file.bytes, path!);
    }
    response.setHeader("X-Linked-Etag", `"${sha256(file.bytes)}"`);
    response.setHeader("X-Linked-Size", String(file.bytes.length));
    response.setHeader("ETag", `"${sha256(file.bytes)}"`);
    response.writeHead(302, { Location: `${this.store}/store/${path}` }).end();
  }

  private async large(request: IncomingMessage, response: ServerResponse, entry: HubRequest): Promise<void> {
    const path = decodeURIComponent(request.url!.slice("/store/".length));
    response.setHeader("ETag", '"another tag"');
    return this.send(request, response, entry, this.files.get(path)!.bytes, path);
  }

  private siblings(): { rfilename: string }[] {
    return [...this.files.keys()].map((rfilename) => ({ rfilename }));
  }

  private page(response: ServerResponse, api: string, commit: string, first: number): void {
    const entries = [...this.files].map(([path, { bytes, large }]) => {
      if (!large) return { type: "file", path, size: bytes.length, oid: gitHash(bytes) };
      const pointer = new TextEncoder().encode(`oid sha256:${sha256(bytes)}\n`);
      const lfs = { oid: sha256(bytes), size: bytes.length, pointerSize: pointer.length };
      return { type: "file", path, size: bytes.length, oid: gitHash(pointer), lfs };
    });
    const folders = [{ type: "directory", path: "video_processor", size: 0, oid: "0".repeat(40) }];
    const all = [...folders, ...entries];
    const next = first + this.pageSize;
    if (next < all.length) {
      // Of another host, as behind a mirror.
      const query = `recursive=true&expand=false&cursor=${next}`;
      response.setHeader("Link", `<https://hub.example${api}tree/${commit}?${query}>; rel="next"`);
    }
    json(response, all.slice(first, next));
  }

  private async send(
    request: IncomingMessage,
    response: ServerResponse,
    entry: HubRequest,
    content: Uint8Array,
    path: string,
  ): Promise<void> {
    const fault = (request.method === "GET" && this.faults.get(path)?.shift()) || {};
    await fault.until;
    if (fault.status) return refuse(response, fault.status, "", "no");
    const bytes = new Uint8Array(content.length + (fault.extraBytes ?? 0));
    bytes.set(content);
    if (fault.corrupt) bytes[0]! ^= 1;
    const [, first, last] = (this.ranges && /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "")) || [];
    let body = bytes;
    if (first !== undefined) {
      if (Number(first) >= bytes.length) {
        response.writeHead(416, { "Content-Range": `bytes */${bytes.length}` }).end();
        return;
      }
      const end = Math.min(bytes.length, last ? Number(last) + 1 : bytes.length);
      body = bytes.subarray(Number(first), end);
      response.setHeader("Content-Range", `bytes ${first}-${end - 1}/${bytes.length}`);
    }
    response.setHeader("Content-Length", String(body.length));
    response.writeHead(first === undefined ? 200 : 206);
    if (request.method === "HEAD") return void response.end();
    const cut = fault.cutAfterBytes ?? fault.stallAfterBytes;
    const part = cut === undefined ? body : body.subarray(0, cut);
    entry.bytesSent += part.length;
    if (cut === undefined) return void response.end(part);
    // What was written has to leave before the connection breaks.
    response.flushHeaders();
    if (part.length > 0) await new Promise((resolve) => response.write(part, resolve));
    if (fault.stallAfterBytes === undefined) setTimeout(() => response.socket?.destroySoon(), 20);
  }
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** git's name for a file: SHA-1 of "blob", its length, a zero and its bytes. */
export function gitHash(bytes: Uint8Array): string {
  return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}

function json(response: ServerResponse, value: unknown): void {
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify(value));
}

function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  if (code) response.setHeader("X-Error-Code", code);
  response.setHeader("X-Error-Message", message);
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify({ error: message }));
}
