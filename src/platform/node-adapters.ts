import { causeMessage } from "../base/cause-message.js";
import { OptionError } from "../base/errors.js";
import { adapterName, isSoftware } from "./platform.js";

/** A name that no adapter has: Dawn's error for it lists those that there are. */
const NO_NAME = "no adapter has this name";

/** An adapter that a request can choose. */
export interface ListedAdapter {
  readonly adapter: GPUAdapter;
  /** As Dawn calls it, and as {@link adapterName} does. */
  readonly names: readonly [own: string, shown: string];
}

/**
 * Names of the adapters of the system's drivers, in Dawn's order; those of the same name are one, since Dawn selects by name. `request` asks for
 * an adapter with flags of Dawn. Empty where Dawn lists none.
 */
export async function systemNames(request: (flag: string) => Promise<GPUAdapter | null>): Promise<readonly string[]> {
  let list = "";
  try {
    await request(`adapter=${NO_NAME}`);
  } catch (cause) {
    list = causeMessage(cause);
  }
  return [...new Set([...list.matchAll(/^ \* backend: '\w+', name: '(.*)'$/gm)].map(([, name]) => name!))];
}

/** GPUs before adapters on the CPU. */
export function byPreference(adapters: readonly ListedAdapter[]): readonly ListedAdapter[] {
  const isOnCPU = ({ adapter }: ListedAdapter): boolean => isSoftware(adapter.info);
  return [...adapters.filter((one) => !isOnCPU(one)), ...adapters.filter(isOnCPU)];
}

/** Returns an adapter by its number or a part of its name. Throws OptionError for one that is not there, or for a name that several have. */
export function chosenAdapter(adapters: readonly ListedAdapter[], wanted: number | string): ListedAdapter {
  const word = String(wanted).toLowerCase();
  const matching = adapters.filter(({ names }, i) =>
    typeof wanted === "number" ? i === wanted : names.some((name) => name.toLowerCase().includes(word)),
  );
  const [chosen, ...others] = matching;
  if (chosen && others.length === 0) return chosen;
  const list = adapters.map(({ adapter }, i) => `${i} ${adapterName(adapter.info)}`).join(", ");
  throw new OptionError({
    where: "Device.open, adapter",
    expected: chosen ? "a number, or a name that one adapter has" : `one of ${list || "no adapters"}`,
    got: chosen ? `${JSON.stringify(wanted)}, which is in the names of ${matching.length}` : JSON.stringify(wanted),
    remedy: chosen ? `choose by number: ${list}` : "`ocellus doctor` lists the adapters with their numbers",
  });
}
