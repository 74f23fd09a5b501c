import { readFileSync } from "node:fs";

// The reference in docs/api: `npm run docs`.

const { exports } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));

/** The source of each entry point of the package. */
const entryPoints = Object.values(exports).flatMap(({ types }) =>
  types ? [types.replace(/^\.\/dist\//, "src/").replace(/\.d\.ts$/, ".ts")] : [],
);

/** @type {Partial<import("typedoc").TypeDocOptions & import("typedoc-plugin-markdown").PluginOptions>} */
export default {
  name: "Ocellus",
  entryPoints,
  tsconfig: "tsconfig.build.json",
  plugin: ["typedoc-plugin-markdown"],
  router: "module",
  out: "docs/api",
  // Links to names that differ in case only lead to anchors that headings do not have.
  useHTMLAnchors: true,
  readme: "none",
  // Lines of the source would change the reference with every edit.
  disableSources: true,
  hideGenerator: true,
  hideBreadcrumbs: true,
  excludePrivate: true,
  excludeProtected: true,
  excludeExternals: true,
  parametersFormat: "table",
  interfacePropertiesFormat: "table",
  typeAliasPropertiesFormat: "table",
  classPropertiesFormat: "table",
  sort: ["alphabetical"],
  // `npm run check` finds errors; checking also changes the order of the members of unions.
  skipErrorChecking: true,
  // Types that are not exported are named without a link.
  validation: { notExported: false, invalidLink: false },
};
