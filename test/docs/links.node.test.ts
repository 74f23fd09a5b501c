import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { marked, type Token } from "marked";
import { expect, test } from "vitest";
import { ROOT } from "../support/cli.js";

// Every link of the documents inside the repository leads to a file that is there, and to a heading of it.

const FOLDERS = ["", ".github", "docs", "docs/guides", "docs/api", "examples", "models/tiny", "test/data"];
const documents = FOLDERS.flatMap((folder) =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(ROOT, folder, name)),
);

/** The tokens of a document, with those inside others. */
function tokensOf(path: string): Token[] {
  const all: Token[] = [];
  marked.walkTokens(marked.lexer(readFileSync(path, "utf8")), (token) => {
    all.push(token);
  });
  return all;
}

/** The text of a heading, without marks. */
function plain(tokens: readonly Token[]): string {
  return tokens.map((token) => ("tokens" in token && token.tokens ? plain(token.tokens) : textOf(token))).join("");
}

function textOf(token: Token): string {
  return "text" in token && typeof token.text === "string" ? token.text : token.raw;
}

/** The names that GitHub gives headings: small letters, hyphens for spaces, no punctuation; a number where one comes again. */
function anchorsOf(path: string): Set<string> {
  const seen = new Map<string, number>();
  const anchors = new Set<string>();
  for (const token of tokensOf(path)) {
    if (token.type === "html") for (const [, id] of token.raw.matchAll(/\bid="([^"]+)"/g)) anchors.add(id!);
    if (token.type !== "heading") continue;
    const text = plain(token.tokens ?? [])
      .replaceAll("&lt;", "<")
      .replaceAll("&gt;", ">");
    const name = text
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replaceAll(" ", "-");
    const count = seen.get(name) ?? 0;
    seen.set(name, count + 1);
    anchors.add(count === 0 ? name : `${name}-${count}`);
  }
  return anchors;
}

const anchors = new Map<string, Set<string>>();

/** What is wrong with a link of a document; undefined if it leads somewhere, or out of the repository. */
function faultOf(href: string, document: string): string | undefined {
  if (/^[a-z]+:/i.test(href)) return undefined;
  const [path = "", anchor] = href.split("#");
  const target = path === "" ? document : join(dirname(document), decodeURIComponent(path));
  if (relative(ROOT, target).startsWith("..")) return "is outside the repository";
  if (!existsSync(target)) return "is not there";
  if (anchor === undefined || statSync(target).isDirectory() || !target.endsWith(".md")) return undefined;
  const known = anchors.get(target) ?? anchorsOf(target);
  anchors.set(target, known);
  return known.has(anchor) ? undefined : "has no such heading";
}

test.each(documents.map((path) => relative(ROOT, path)))("the links of %s", (name) => {
  const document = join(ROOT, name);
  const hrefs = tokensOf(document).flatMap((token) => {
    if (token.type === "link" || token.type === "image") return [token.href as string];
    if (token.type === "html") return [...token.raw.matchAll(/\b(?:href|src)="([^"]+)"/g)].map(([, href]) => href!);
    return [];
  });
  const faults = hrefs.map((href) => ({ href, fault: faultOf(href, document) })).filter(({ fault }) => fault);
  expect(faults).toEqual([]);
});
