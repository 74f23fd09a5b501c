import { existsSync, readdirSync } from "node:fs";

const DRIVERS = "/usr/share/vulkan/icd.d";

/** The driver file of Mesa's lavapipe, or what OCELLUS_LAVAPIPE names (scripts/ci/with-lavapipe.sh); undefined if it is not installed. */
export function lavapipeDriver(): string | undefined {
  if (process.env.OCELLUS_LAVAPIPE) return process.env.OCELLUS_LAVAPIPE;
  const name = existsSync(DRIVERS) ? readdirSync(DRIVERS).find((file) => /^lvp_icd.*\.json$/.test(file)) : undefined;
  return name && `${DRIVERS}/${name}`;
}
