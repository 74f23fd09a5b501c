import { OptionError, OverBudgetError, shown } from "../../base/errors.js";
import { isObject } from "../../base/is-object.js";
import type { CheckpointLocation } from "../../io/checkpoint.js";
import { Device } from "../../runtime/device.js";
import type { Stage } from "../llava-onevision/qwen2.js";
import { atLeast, type EstimateOptions, inspect, type Subject, total } from "./estimate.js";
import { footprint, LAYERS_PLAN, neededBinding } from "./footprint.js";

/** A device, and the bytes on its adapter that a model may use together with one session. */
export interface DeviceShare {
  readonly device: Device;
  readonly bytes: number;
}

/** What layers take on several devices. All sizes are in bytes. */
export interface LayerCosts {
  readonly layers: number;
  /** Of a layer: its weights, and its part of a session's KV cache. */
  readonly layerBytes: number;
  /** Of each device besides its layers. */
  readonly fixedBytes: readonly number[];
}

/** Options that a model on several devices does not have. */
const ON_ONE_DEVICE = ["device", "memoryBudget", "weights", "adapter"] as const;

/** Throws OptionError for devices of another kind, and for options of `load` beside them that need one device. */
export function checkDevices(devices: unknown, options: Readonly<Record<string, unknown>>): void {
  const where = "LlavaOneVision.load, devices";
  const remedy = "pass devices of Device.open(), or { device, bytes } with the bytes that each may use";
  const isDevice = (one: unknown): boolean => one instanceof Device;
  const isShare = (one: unknown): boolean =>
    isObject(one) && isDevice(one.device) && typeof one.bytes === "number" && one.bytes > 0;
  const isList = Array.isArray(devices) && devices.length > 0;
  const wrong = isList ? devices.find((one) => !(isDevice(one) || isShare(one))) : devices;
  if (!isList || wrong !== undefined) {
    throw new OptionError({ where, expected: "a list of Devices", got: shown(wrong), remedy });
  }
  const own = devices.map((one) => (isDevice(one) ? one : (one as DeviceShare).device));
  if (new Set(own).size < own.length) {
    const remedy = "open another device on the same adapter";
    throw new OptionError({ where, expected: "each device once", got: "one twice", remedy });
  }
  if (new Set(devices.map(isDevice)).size > 1) {
    throw new OptionError({ where, expected: "bytes for all devices, or for none", got: "bytes for some", remedy });
  }
  const beside = ON_ONE_DEVICE.find((name) => options[name] !== undefined);
  if (beside === undefined && options.onDeviceLost !== "reload") return;
  throw new OptionError({
    where,
    expected: beside ? `no \`${beside}\` beside it` : '`onDeviceLost` "fail" beside it',
    got: beside ? "both" : '"reload"',
    remedy:
      beside === "adapter"
        ? "leave one of them out; merged adapters can be saved by `ocellus convert`"
        : "leave one of them out",
  });
}

/**
 * Divides the layers of the decoder among devices, in their order: in proportion to the room for layers within the bytes of each, or so that
 * all take as many bytes. Reads config files and headers only. Throws OverBudgetError, and OptionError for more devices than layers;
 * CheckpointError, SourceError, AbortedError.
 */
export function stagesOn(
  location: CheckpointLocation,
  devices: readonly (Device | DeviceShare)[],
  options: Omit<EstimateOptions, "tiles" | "memoryBudget" | "device">,
): Promise<readonly Stage[]> {
  const own = devices.map((one) => (one instanceof Device ? one : one.device));
  const bytes = devices.flatMap((one) => (one instanceof Device ? [] : [one.bytes]));
  return inspect(location, { ...options, device: own[0]! }, (subject) => {
    const costs = costsOf(subject, own.length);
    const shares = bytes.length === 0 ? equalShares(costs) : sharesWithin(costs, bytes, own);
    return own.map((device, i) => ({ device, layers: shares[i]! }));
  });
}

/** What the layers take, and each device besides: the first has the vision tower, the tables and the head. */
function costsOf({ described, dtype, use, facts }: Subject, devices: number): LayerCosts {
  const enough = atLeast(facts, neededBinding(described, dtype, use, facts));
  const all = footprint(described, dtype, use, enough);
  const { layerBytes } = footprint(described, dtype, { ...use, plan: LAYERS_PLAN }, enough);
  const { layers } = described.config.text;
  if (devices > layers) {
    throw new OptionError({
      where: "devices",
      expected: `at most ${layers}, one for each layer`,
      got: `${devices}`,
      remedy: "pass fewer devices",
    });
  }
  const tables = total(all.weights) - layers * layerBytes + all.visionCacheBytes;
  return {
    layers,
    layerBytes: layerBytes + all.cacheBytes / layers,
    // Activations of layers are no larger than the largest of all.
    fixedBytes: Array.from({ length: devices }, (_, i) => all.activationBytes + (i === 0 ? tables : 0)),
  };
}

/** Layers of each device so that all have as many bytes, at least one each. */
export function equalShares({ layers, layerBytes, fixedBytes }: LayerCosts): number[] {
  const sum = fixedBytes.reduce((all, bytes) => all + bytes, layers * layerBytes);
  const each = sum / fixedBytes.length;
  return proportional(
    layers,
    fixedBytes.map((bytes) => Math.max(0, (each - bytes) / layerBytes)),
  );
}

/** Layers of each device in proportion to those that it has room for. Throws OverBudgetError if there is not room for all. */
export function sharesWithin(
  { layers, layerBytes, fixedBytes }: LayerCosts,
  bytes: readonly number[],
  devices: readonly Pick<Device, "facts">[],
): number[] {
  const room = bytes.map((own, i) => Math.floor((own - fixedBytes[i]!) / layerBytes));
  const cramped = room.findIndex((count) => count < 1);
  const total = room.reduce((sum, count) => sum + Math.max(0, count), 0);
  if (cramped < 0 && total >= layers) return proportional(layers, room);
  const mega = (count: number): string => `${(count / 2 ** 20).toFixed(1)} MiB`;
  const neededBytes =
    cramped < 0
      ? fixedBytes.reduce((sum, own) => sum + own, layers * layerBytes)
      : Math.ceil(fixedBytes[cramped]! + layerBytes);
  const budgetBytes = cramped < 0 ? bytes.reduce((sum, own) => sum + own, 0) : bytes[cramped]!;
  const where = cramped < 0 ? "devices" : `devices[${cramped}], ${devices[cramped]!.facts.name}`;
  throw new OverBudgetError(
    {
      where,
      expected: cramped < 0 ? `room for ${layers} layers of ${mega(layerBytes)}` : `at least ${mega(neededBytes)}`,
      got: cramped < 0 ? `room for ${room.join(" and ")}` : mega(budgetBytes),
      remedy: "give them more bytes, add a device, or load fewer bits (dtype) or a shorter context (contextTokens)",
    },
    neededBytes,
    budgetBytes,
  );
}

/** Divides layers in proportion to weights, at least one for each and at most what a weight of whole layers says. */
function proportional(layers: number, weights: readonly number[]): number[] {
  const sum = weights.reduce((all, weight) => all + weight, 0);
  const exact = weights.map((weight) => (layers * weight) / sum);
  const shares = exact.map((share) => Math.max(1, Math.floor(share)));
  const given = (): number => shares.reduce((all, share) => all + share, 0);
  // The ones that are furthest from their exact share get or give the rest.
  const furthest = (sign: 1 | -1): number => {
    const distance = (i: number): number => (sign < 0 && shares[i] === 1 ? -layers : sign * (exact[i]! - shares[i]!));
    return shares.reduce((best, _, i) => (distance(i) > distance(best) ? i : best), 0);
  };
  while (given() < layers) shares[furthest(1)]!++;
  while (given() > layers) shares[furthest(-1)]!--;
  return shares;
}
