import { readFileSync } from "node:fs";
import { join } from "node:path";
import { OptionError } from "../../src/base/errors.js";
import { parse } from "../../src/cli/arguments.js";
import type { Arguments } from "../../src/cli/command.js";
import { COMMANDS } from "../../src/cli/commands.js";
import { queueOf } from "../../src/cli/queue-options.js";
import { ROOT } from "./cli.js";

// Checks of the files in deploy/ that need neither docker nor kubectl: each returns what is wrong.

/** Paths that the server answers. */
const ROUTES = /"(\/[a-z]+)"/g;
const paths = [...readFileSync(join(ROOT, "src/server/app.ts"), "utf8").matchAll(ROUTES)].map(([, path]) => path!);

/** The command line of Ocellus that these words are. Throws OptionError. */
async function commandLine([name = "", ...args]: readonly string[]): Promise<Arguments> {
  const [, load] = COMMANDS[name] ?? [];
  if (!load) throw new OptionError({ where: "ocellus", expected: "a command", got: name, remedy: "name one" });
  const given = parse(await load(), args);
  if (name === "worker") queueOf(given);
  return given;
}

/** What is wrong with a command line, in a container with so many seconds to end. */
async function commandFaults(where: string, words: readonly string[], endSeconds: number): Promise<string[]> {
  try {
    const given = await commandLine(words);
    const grace = Number(given.value("grace") ?? 30);
    return grace < endSeconds ? [] : [`${where}: --grace ${grace} within ${endSeconds} s`];
  } catch (error) {
    return [`${where}: ${error instanceof Error ? error.message : error}`];
  }
}

/** The host and port of a worker's queue. */
async function queueAddress(words: readonly string[]): Promise<{ host: string; port: number }> {
  const { hostname, port } = new URL((await commandLine(words)).value("queue")!);
  return { host: hostname, port: Number(port) };
}

// ---- Compose ----

export interface ComposeService {
  image: string;
  build?: { context: string; dockerfile: string };
  command?: string[];
  environment?: Record<string, string>;
  ports?: string[];
  volumes?: string[];
  depends_on?: Record<string, { condition: string }>;
  healthcheck?: { test: string[] };
  stop_grace_period?: string;
  deploy?: { replicas?: number };
}

export interface Compose {
  name: string;
  services: Record<string, ComposeService>;
  volumes: Record<string, unknown>;
}

/** `${NAME:-default}` without the variables. */
function withDefaults(text: string): string {
  return text.replace(/\$\{\w+:-([^}]*)\}/g, "$1");
}

export async function composeFaults({ services, volumes }: Compose): Promise<string[]> {
  const faults: string[] = [];
  const used = new Set<string>();
  for (const [name, service] of Object.entries(services)) {
    const { image, command = [], ports = [], volumes: mounts = [], depends_on = {}, healthcheck } = service;
    if (!/^[\w./-]+(:[\w.-]+)?$/.test(image)) faults.push(`${name}: the image ${image}`);
    for (const port of ports) if (!/^127\.0\.0\.1:\d+:\d+$/.test(port)) faults.push(`${name}: the port ${port}`);
    for (const mount of mounts) {
      const [volume = "", path = ""] = mount.split(":");
      used.add(volume);
      if (!(volume in volumes)) faults.push(`${name}: the volume ${volume} is not declared`);
      if (!path.startsWith("/")) faults.push(`${name}: the volume ${volume} at ${path}`);
    }
    for (const [other, { condition }] of Object.entries(depends_on)) {
      if (!services[other]) faults.push(`${name}: the service ${other} is not declared`);
      else if (condition === "service_healthy" && !services[other].healthcheck)
        faults.push(`${other}: no health check`);
    }
    const words = command.map(withDefaults);
    if (image === "ocellus") {
      const seconds = Number(/^(\d+)s$/.exec(service.stop_grace_period ?? "10s")?.[1]);
      const wrong = await commandFaults(name, words, seconds);
      faults.push(...wrong);
      if (wrong.length > 0) continue;
      if (words[0] === "serve") {
        const path = /http:\/\/127\.0\.0\.1:8080(\/\w+)/.exec(healthcheck?.test.join(" ") ?? "")?.[1];
        if (!path || !paths.includes(path)) faults.push(`${name}: its health check asks for ${path}`);
      }
      if (words[0] === "worker") {
        const { host, port } = await queueAddress(words);
        if (!services[host] || port !== 6379) faults.push(`${name}: no queue at ${host}:${port}`);
        if (!depends_on[host]) faults.push(`${name}: does not wait for ${host}`);
      }
    }
  }
  for (const volume of Object.keys(volumes)) if (!used.has(volume)) faults.push(`the volume ${volume} is not used`);
  return faults;
}

// ---- Kubernetes ----

export interface Container {
  name: string;
  image: string;
  args: string[];
  env?: { name: string; valueFrom?: Record<string, { name: string; key: string; optional?: boolean }> }[];
  ports?: { name: string; containerPort: number }[];
  startupProbe?: Probe;
  readinessProbe?: Probe;
  livenessProbe?: Probe;
  resources: { requests: Record<string, string>; limits: Record<string, string> };
  volumeMounts?: { name: string; mountPath: string }[];
}

interface Probe {
  httpGet?: { path: string; port: string };
}

export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string };
  data?: Record<string, string>;
  // biome-ignore lint/suspicious/noExplicitAny: each kind has another
  spec?: any;
}

const API_VERSIONS: Readonly<Record<string, string>> = {
  Namespace: "v1",
  ConfigMap: "v1",
  Service: "v1",
  PersistentVolumeClaim: "v1",
  Deployment: "apps/v1",
  StatefulSet: "apps/v1",
  ScaledObject: "keda.sh/v1alpha1",
};

export async function kubernetesFaults(manifests: readonly Manifest[], namespace: string): Promise<string[]> {
  const faults: string[] = [];
  const of = (kind: string): Manifest[] => manifests.filter((manifest) => manifest.kind === kind);
  const named = (kind: string, name: string): Manifest | undefined =>
    of(kind).find(({ metadata }) => metadata.name === name);
  for (const { apiVersion, kind, metadata } of manifests) {
    if (API_VERSIONS[kind] !== apiVersion) faults.push(`${kind} ${metadata.name}: the version ${apiVersion}`);
    if (!/^[a-z][a-z0-9-]*$/.test(metadata.name)) faults.push(`${kind}: the name ${metadata.name}`);
  }
  const workloads = [...of("Deployment"), ...of("StatefulSet")];
  for (const { metadata, spec } of workloads) {
    const { name } = metadata;
    const { template } = spec;
    if (JSON.stringify(spec.selector.matchLabels) !== JSON.stringify(template.metadata.labels)) {
      faults.push(`${name}: the selector is not the labels`);
    }
    if (spec.serviceName !== undefined && !named("Service", spec.serviceName)) faults.push(`${name}: no service`);
    const claims: string[] = (spec.volumeClaimTemplates ?? []).map((claim: Manifest) => claim.metadata.name);
    const volumes: { name: string; persistentVolumeClaim: { claimName: string } }[] = template.spec.volumes ?? [];
    for (const { persistentVolumeClaim } of volumes) {
      const { claimName } = persistentVolumeClaim;
      if (!named("PersistentVolumeClaim", claimName)) faults.push(`${name}: the claim ${claimName}`);
    }
    for (const container of template.spec.containers as Container[]) {
      const { args, env = [], ports = [], volumeMounts = [], resources, image } = container;
      for (const mount of volumeMounts) {
        if (![...claims, ...volumes.map((volume) => volume.name)].includes(mount.name)) {
          faults.push(`${name}: the volume ${mount.name}`);
        }
      }
      for (const [kind, probe] of Object.entries(container).filter(([key]) => key.endsWith("Probe"))) {
        const { httpGet } = probe as Probe;
        if (httpGet && !paths.includes(httpGet.path)) faults.push(`${name}: ${kind} asks for ${httpGet.path}`);
        if (httpGet && !ports.some((port) => port.name === httpGet.port)) faults.push(`${name}: ${kind}'s port`);
      }
      for (const { name: variable, valueFrom = {} } of env) {
        const [, ref] = Object.entries(valueFrom)[0] ?? [];
        if (ref && !ref.optional && named("ConfigMap", ref.name)?.data?.[ref.key] === undefined) {
          faults.push(`${name}: ${variable} comes from ${ref.name}, ${ref.key}`);
        }
      }
      if (!resources.limits.memory || !resources.requests.memory) faults.push(`${name}: its memory`);
      if (image !== "ocellus") continue;
      if (resources.limits["nvidia.com/gpu"] !== "1") faults.push(`${name}: no GPU`);
      const words = args.map((word) =>
        word.replace(/^\$\((\w+)\)$/, (_, variable) => {
          const ref = env.find((one) => one.name === variable)?.valueFrom?.configMapKeyRef;
          if (!ref) faults.push(`${name}: the variable ${variable}`);
          return named("ConfigMap", ref?.name ?? "")?.data?.[ref?.key ?? ""] ?? "x";
        }),
      );
      const wrong = await commandFaults(name, words, template.spec.terminationGracePeriodSeconds ?? 30);
      faults.push(...wrong);
      if (wrong.length > 0) continue;
      if (words[0] === "worker") {
        const { host, port } = await queueAddress(words);
        if (!serves(host, port)) faults.push(`${name}: no queue at ${host}:${port}`);
      }
    }
  }
  for (const { metadata, spec } of of("Service")) {
    const target = workloads.find(({ spec: { template } }) => template.metadata.labels.app === spec.selector.app);
    const ports = (target?.spec.template.spec.containers as Container[] | undefined)?.flatMap(
      ({ ports = [] }) => ports,
    );
    for (const { port, targetPort = port } of spec.ports) {
      if (!ports?.some(({ name, containerPort }) => [name, containerPort].includes(targetPort))) {
        faults.push(`Service ${metadata.name}: nothing at ${targetPort}`);
      }
    }
  }
  for (const { metadata, spec } of of("ScaledObject")) {
    if (!named("Deployment", spec.scaleTargetRef.name)) faults.push(`${metadata.name}: scales nothing`);
    for (const { metadata: trigger } of spec.triggers) {
      const [host = "", port] = trigger.address.split(":");
      const [service, space] = host.split(".");
      if (space !== namespace || !serves(service, Number(port))) faults.push(`${metadata.name}: ${trigger.address}`);
      if (!(Number(trigger.listLength) > 0)) faults.push(`${metadata.name}: ${trigger.listLength} jobs a worker`);
    }
  }
  return faults;

  function serves(host: string, port: number): boolean {
    return named("Service", host)?.spec.ports.some((one: { port: number }) => one.port === port) ?? false;
  }
}
