import { join } from "node:path";
import ts from "typescript";
import { ROOT } from "./cli.js";
import type { Manifest } from "./deployment.js";

/** Types of Kubernetes' own kinds, of the package kubernetes-types. */
const TYPES: Readonly<Record<string, string>> = {
  Namespace: "core/v1",
  ConfigMap: "core/v1",
  Service: "core/v1",
  PersistentVolumeClaim: "core/v1",
  Deployment: "apps/v1",
  StatefulSet: "apps/v1",
};

/** Compiles manifests as values of their types: returns unknown fields and values of another type. */
export function typeFaults(manifests: readonly Manifest[]): string[] {
  const own = manifests.filter(({ kind }) => kind in TYPES);
  const lines = own.map(({ kind, ...rest }, i) => {
    const type = `import("kubernetes-types/${TYPES[kind]}").${kind}`;
    return `export const m${i}: ${type} = ${JSON.stringify({ kind, ...rest })};`;
  });
  const file = join(ROOT, "test/manifests.ts");
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  const text = lines.join("\n");
  host.fileExists = (name) => name === file || fileExists.call(host, name);
  host.readFile = (name) => (name === file ? text : readFile.call(host, name));
  host.getSourceFile = (name, target, ...rest) =>
    name === file ? ts.createSourceFile(name, text, target) : getSourceFile.call(host, name, target, ...rest);
  return ts.getPreEmitDiagnostics(ts.createProgram([file], options, host)).map((fault) => {
    const { line } = ts.getLineAndCharacterOfPosition(fault.file!, fault.start!);
    const { kind, metadata } = own[line]!;
    return `${kind} ${metadata.name}: ${ts.flattenDiagnosticMessageText(fault.messageText, " ")}`;
  });
}
