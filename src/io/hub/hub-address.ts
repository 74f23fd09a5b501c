/** Parses URLs of the Hugging Face hub: pages of repositories, and `hf://`. */

import { CheckpointError } from "../../base/errors.js";
import { type HubId, PUBLIC_HUB, parseHubId } from "./hub-names.js";

/** What is expected of the repository of a hub id. */
export const A_MODEL = "a model's repository";

const HOSTS = ["huggingface.co", "www.huggingface.co", "hf.co"];
/** Pages of a repository that have a revision in their URL. */
const VIEWS = ["tree", "blob", "commit"];

/**
 * Parses a URL of the hub (or of `endpoint`): `https://huggingface.co/org/name`, optionally followed by `/tree/…` or `/blob/…`, or
 * `hf://org/name@revision`. Returns undefined for other locations, including `…/resolve/…`, which serves files.
 * @throws CheckpointError for a dataset, a space, a folder within a repository, and other pages of the hub.
 */
export function parseHubAddress(text: string, endpoint = PUBLIC_HUB): HubId | undefined {
  const [, elsewhere] = /^(datasets|spaces)\/[^/\s]+\/[^/\s]+$/.exec(text) ?? [];
  if (elsewhere !== undefined) throw notAModel(text, elsewhere);
  const path = pathOn(text, endpoint);
  if (path === undefined) return undefined;
  const [org = "", repository = "", view, ...rest] = path;
  if (org === "datasets" || org === "spaces") throw notAModel(text, org);
  const name = `${org}/${repository.replace(/\.git$/, "")}`;
  const id = parseHubId(name);
  if (!id) {
    throw new CheckpointError({
      where: text,
      expected: `a repository's address (${PUBLIC_HUB}/org/name)`,
      got: "another page of the hub",
      remedy: "give the model's id, org/name",
    });
  }
  if (view === undefined) return id;
  if (view === "resolve" && rest.length > 0 && !text.startsWith("hf:")) return undefined;
  const pull = rest[0] === "refs" ? 3 : 1;
  const revision = rest.slice(0, pull).join("/");
  const inside = rest.slice(pull);
  if (!VIEWS.includes(view) || revision === "") {
    const remedy = `give the model's id, ${name}`;
    throw new CheckpointError({ where: text, expected: "a model's files", got: `its page "${view}"`, remedy });
  }
  if (inside.length > (view === "blob" ? 1 : 0)) {
    throw new CheckpointError({
      where: text,
      expected: "a checkpoint at the top of its repository",
      got: `the folder ${(view === "blob" ? inside.slice(0, -1) : inside).join("/")} within ${name}`,
      remedy: "download that folder, and give its path",
    });
  }
  return { name: id.name, revision };
}

/** Returns the decoded path segments of a URL of the hub; undefined for other URLs. */
function pathOn(text: string, endpoint: string): string[] | undefined {
  const [, plain] = /^hf:\/\/(.+)$/i.exec(text) ?? [];
  if (plain !== undefined) {
    const [, name = "", revision, inside = ""] =
      /^((?:(?:datasets|spaces)\/)?[^/@]+\/[^/@]+)(?:@([^/]+))?\/?(.*)$/.exec(plain) ?? [];
    const parts = inside === "" ? [] : inside.split("/");
    const viewed = revision !== undefined || parts.length > 0 ? ["tree", decoded(revision ?? "main"), ...parts] : [];
    return [...name.split("/"), ...viewed];
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) return undefined;
  const own = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  // A custom endpoint may also serve plain folders; it counts as a hub only if it is the root of its host.
  const onEndpoint = own !== undefined && own.host === url.host && own.pathname === "/";
  if (!HOSTS.includes(url.host) && !(onEndpoint && VIEWS.includes(url.pathname.split("/")[3] ?? ""))) return undefined;
  return url.pathname
    .split("/")
    .filter((part) => part !== "")
    .map(decoded);
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Returns the error for a repository that is not a model. */
export function notAModel(where: string, kind: string): CheckpointError {
  return new CheckpointError({
    where,
    expected: A_MODEL,
    got: kind === "datasets" ? "a dataset's" : "a space's, which is an app",
    remedy: kind === "spaces" ? "give the id of the model that the space runs" : "give the id of a model, org/name",
  });
}
