import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { type DefaultTheme, defineConfig } from "vitepress";

// The documents of docs/ as a site. They are written for the repository; links that lead out of docs/ go to its files there.

const DOCS = fileURLToPath(new URL("../../docs", import.meta.url));
/** VitePress finds its packages from where the pages are, so they are copied here. */
const PAGES = fileURLToPath(new URL("../pages", import.meta.url));
rmSync(PAGES, { recursive: true, force: true });
cpSync(DOCS, PAGES, { recursive: true });
const REPOSITORY = "https://github.com/ocellus/ocellus";

const page = (path: string): DefaultTheme.SidebarItem => {
  const [, title = path] = /^# (.*)$/m.exec(readFileSync(join(DOCS, `${path}.md`), "utf8")) ?? [];
  return { text: title.replaceAll("`", ""), link: `/${path}` };
};
const guides = (...names: string[]): DefaultTheme.SidebarItem[] => names.map((name) => page(`guides/${name}`));

const SIDEBAR: DefaultTheme.SidebarItem[] = [
  {
    text: "Start",
    items: [
      { text: "All documents", link: "/" },
      page("hardware"),
      page("sizes"),
      page("glossary"),
      page("benchmarks"),
      page("robustness"),
    ],
  },
  {
    text: "Ask",
    items: guides("answers", "conversations", "embeddings", "errors", "memory"),
  },
  {
    text: "Where it runs",
    items: guides("node", "bun", "deno", "page", "worker", "cdn", "bundlers", "nextjs", "typescript"),
  },
  {
    text: "Interfaces",
    items: guides("command-line", "serve", "queue", "deploy", "ai-sdk", "prompt-api"),
  },
  { text: "Checkpoints", items: [page("dtypes"), page("structured-answers"), ...guides("fine-tune")] },
  {
    text: "API",
    items: readdirSync(join(DOCS, "api"))
      .filter((name) => name !== "README.md")
      .map((name) => ({
        text: name === "index.md" ? "ocellus" : `ocellus/${name.replace(".md", "")}`,
        link: `/api/${name.replace(".md", "")}`,
      })),
  },
];

export default defineConfig({
  title: "Ocellus",
  description: "LLaVA-OneVision in TypeScript on WebGPU",
  base: "/ocellus/docs/",
  srcDir: "pages",
  outDir: "dist",
  cleanUrls: false,
  rewrites: { "README.md": "index.md", "api/README.md": "api/modules.md" },
  themeConfig: {
    sidebar: SIDEBAR,
    search: { provider: "local" },
    socialLinks: [{ icon: "github", link: REPOSITORY }],
    outline: [2, 3],
  },
  vite: { build: { chunkSizeWarningLimit: 2000 } },
  markdown: {
    config(md) {
      const render = md.renderer.rules.link_open;
      md.renderer.rules.link_open = (tokens, index, options, env, self) => {
        const token = tokens[index]!;
        const href = token.attrGet("href") ?? "";
        const path = (env as { path?: string }).path;
        if (path && !/^([a-z]+:|#)/i.test(href)) token.attrSet("href", outside(href, path));
        return render ? render(tokens, index, options, env, self) : self.renderToken(tokens, index, options);
      };
    },
  },
});

/** A link to a file outside docs/ leads to the repository. */
function outside(href: string, path: string): string {
  const [file = "", anchor] = href.split("#");
  const target = join(DOCS, relative(PAGES, dirname(path)), file);
  if (!relative(DOCS, target).startsWith("..") || !existsSync(target)) return href;
  const kind = statSync(target).isDirectory() ? "tree" : "blob";
  return `${REPOSITORY}/${kind}/main/${relative(join(DOCS, ".."), target)}${anchor ? `#${anchor}` : ""}`;
}
