import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { OPTIONAL_PACKAGES } from "../../src/base/optional-packages.js";
import { parse as parseArguments } from "../../src/cli/arguments.js";
import { serve } from "../../src/cli/serve.js";
import { ROOT } from "../support/cli.js";
import { type Compose, composeFaults, kubernetesFaults, type Manifest } from "../support/deployment.js";
import { typeFaults } from "../support/manifest-types.js";

// The files of deploy/ without docker and kubectl: names that are referred to exist, and commands are ones of Ocellus.

const DEPLOY = join(ROOT, "deploy");
const read = (file: string): string => readFileSync(join(DEPLOY, file), "utf8");
const { bin, engines } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));

describe("compose.yaml", () => {
  let compose: Compose;
  beforeEach(() => {
    compose = parse(read("compose.yaml"));
  });

  test("has a server, a queue and two workers, and nothing is wrong with it", async () => {
    expect(Object.keys(compose.services)).toEqual(["server", "queue", "worker"]);
    expect(compose.services.worker!.deploy!.replicas).toBe(2);
    expect(await composeFaults(compose)).toEqual([]);
    const { context, dockerfile } = compose.services.server!.build!;
    expect(existsSync(join(DEPLOY, context, dockerfile))).toBe(true);
  });

  test.each<[string, (compose: Compose) => void, RegExp]>([
    ["an unknown option", ({ services }) => services.worker!.command!.push("--paralel", "2"), /worker: .*--paralel/],
    ["an unknown command", ({ services }) => services.server!.command!.splice(0, 1, "server"), /server: .*a command/],
    ["a volume without declaration", ({ volumes }) => delete volumes.models, /the volume models is not declared/],
    ["a service that is not there", ({ services }) => delete services.queue, /no queue at queue:6379/],
    ["a check of no route", ({ services }) => services.server!.healthcheck!.test.splice(3), /its health check asks/],
    ["too short a time", ({ services }) => delete services.worker!.stop_grace_period, /--grace 30 within 10 s/],
    ["a port for all", ({ services }) => services.queue!.ports!.push("6379:6379"), /the port 6379:6379/],
  ])("%s is found", async (_, change, fault) => {
    change(compose);
    expect((await composeFaults(compose)).join("\n")).toMatch(fault);
  });

  test("the file for GPUs changes services that exist", () => {
    const gpu = parse(read("compose.gpu.yaml")) as Compose;
    expect(Object.keys(compose.services)).toEqual(expect.arrayContaining(Object.keys(gpu.services)));
    for (const { deploy } of Object.values(gpu.services)) {
      expect(JSON.stringify(deploy)).toContain('"capabilities":["gpu","graphics"]');
    }
  });
});

describe("the Kubernetes manifests", () => {
  const folder = join(DEPLOY, "kubernetes");
  const { resources, namespace, images } = parse(read("kubernetes/kustomization.yaml")) as {
    resources: string[];
    namespace: string;
    images: { name: string }[];
  };
  let manifests: Manifest[];
  beforeEach(() => {
    manifests = resources.flatMap((file) =>
      parseAllDocuments(readFileSync(join(folder, file), "utf8")).map((document) => {
        expect(document.errors, file).toEqual([]);
        return document.toJS() as Manifest;
      }),
    );
  });
  const find = (kind: string, name: string): Manifest =>
    manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name)!;
  const container = (name: string) => find("Deployment", name).spec.template.spec.containers[0];

  test("are all in the kustomization, and nothing is wrong with them", async () => {
    expect(["kustomization.yaml", ...resources].sort()).toEqual(readdirSync(folder).sort());
    expect(images.map(({ name }) => name)).toEqual(["ocellus"]);
    expect(find("Namespace", namespace)).toBeDefined();
    expect(await kubernetesFaults(manifests, namespace)).toEqual([]);
  });

  test("have the fields of their kinds, with values of the right types", () => {
    expect(typeFaults(manifests)).toEqual([]);
    find("Service", "server").spec.ports[0].port = "80";
    container("server").readinesProbe = {};
    find("PersistentVolumeClaim", "models").spec.accessMode = ["ReadWriteMany"];
    const faults = typeFaults(manifests).join("\n");
    for (const fault of [/Service server: .*number/, /Deployment server: .*readinesProbe/, /models: .*accessMode/]) {
      expect(faults).toMatch(fault);
    }
  });

  test("scale workers by the lists in which BullMQ has jobs", async () => {
    const { QueueKeys } = await import("bullmq");
    const { wait, active } = new QueueKeys().getKeys("ocellus");
    const { triggers } = find("ScaledObject", "worker").spec;
    expect(triggers.map(({ metadata }: { metadata: { listName: string } }) => metadata.listName)).toEqual([
      wait,
      active,
    ]);
    expect(find("Deployment", "worker").spec.replicas).toBeUndefined();
  });

  test.each<[string, () => void, RegExp]>([
    ["an unknown option", () => container("server").args.push("--grce", "3"), /server: .*--grce/],
    ["a variable that is not set", () => container("worker").env.shift(), /worker: the variable MODEL/],
    [
      "a setting that is not there",
      () => delete find("ConfigMap", "ocellus").data!.dtype,
      /DTYPE comes from ocellus, dtype/,
    ],
    [
      "a label that differs",
      () => (find("Deployment", "worker").spec.template.metadata.labels.app = "w"),
      /the selector/,
    ],
    ["a probe of no route", () => (container("server").livenessProbe.httpGet.path = "/livex"), /asks for \/livex/],
    ["a port of no name", () => (container("server").ports[0].name = "web"), /nothing at http/],
    ["a claim of no name", () => (find("PersistentVolumeClaim", "models").metadata.name = "m"), /the claim models/],
    ["another queue", () => (find("Service", "queue").spec.ports[0].port = 6380), /no queue at queue:6379/],
    ["another version", () => (find("Deployment", "server").apiVersion = "apps/v1beta1"), /the version apps\/v1beta1/],
    ["no GPU", () => delete container("worker").resources.limits["nvidia.com/gpu"], /worker: no GPU/],
    ["another target", () => (find("ScaledObject", "worker").spec.scaleTargetRef.name = "w"), /scales nothing/],
    [
      "too short a time",
      () => delete find("Deployment", "worker").spec.template.spec.terminationGracePeriodSeconds,
      /--grace 100 within 30 s/,
    ],
  ])("%s is found", async (_, change, fault) => {
    change();
    expect((await kubernetesFaults(manifests, namespace)).join("\n")).toMatch(fault);
  });
});

describe("the Dockerfile", () => {
  const text = read("Dockerfile").replace(/\\\n/g, " ");
  const lines = text.split("\n").filter((line) => /^[A-Z]/.test(line));
  const argumentsOf = (instruction: string): string[] =>
    lines.filter((line) => line.startsWith(`${instruction} `)).map((line) => line.slice(instruction.length + 1));

  test("copies from a stage that it has, on Node that Ocellus accepts", () => {
    const known = ["FROM", "WORKDIR", "COPY", "RUN", "ENV", "VOLUME", "USER", "EXPOSE", "ENTRYPOINT", "CMD"];
    expect(lines.map((line) => line.split(" ")[0]).filter((word) => !known.includes(word!))).toEqual([]);
    const stages = argumentsOf("FROM").map((line) => / AS (\w+)$/.exec(line)?.[1]);
    const [copied] = argumentsOf("COPY").flatMap((line) => /--from=(\w+)/.exec(line)?.[1] ?? []);
    expect(stages[0]).toBe(copied);
    const least = Number(/(\d+)/.exec(engines.node)![1]);
    for (const line of argumentsOf("FROM")) expect(Number(/^node:(\d+)/.exec(line)?.[1])).toBeGreaterThanOrEqual(least);
  });

  test("installs the optional packages of the server and of workers, as errors name them", () => {
    const installed = /npm install --no-audit --no-fund \/packages\/\*\.tgz ([^&]*)/
      .exec(text)![1]!
      .trim()
      .split(/\s+/);
    const known = Object.values(OPTIONAL_PACKAGES).map(({ install }) => install as string);
    expect(installed.filter((name) => !known.includes(name))).toEqual([]);
    const needed = ["webgpu", "sharp", "hono", "@hono/node-server", "prom-client", "bullmq", "ioredis"];
    expect(installed).toEqual(expect.arrayContaining(needed));
  });

  test("runs the program of the package, with a command that it accepts", () => {
    const [entry] = argumentsOf("ENTRYPOINT").map((json) => JSON.parse(json) as string[]);
    expect(entry).toEqual(["node", `node_modules/ocellus/${bin.ocellus}`]);
    const [command] = argumentsOf("CMD").map((json) => JSON.parse(json) as string[]);
    expect(command![0]).toBe("serve");
    expect(parseArguments(serve, command!.slice(1)).value("host")).toBe("0.0.0.0");
  });

  test("its context has what the build needs", () => {
    const ignored = readFileSync(join(ROOT, ".dockerignore"), "utf8").trim().split("\n");
    for (const name of ["src", "scripts", "models", "package.json", "package-lock.json"]) {
      expect(ignored).not.toContain(name);
      expect(existsSync(join(ROOT, name))).toBe(true);
    }
  });
});
