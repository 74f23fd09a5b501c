import { readdirSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { homeFolder } from "./node-folders.js";

/**
 * Why the Vulkan loader can't find a driver, as a sentence; undefined where it may. Only the loader of Linux is known here.
 * Source: "Linux Driver Discovery" of the loader, https://github.com/KhronosGroup/Vulkan-Loader/blob/main/docs/LoaderDriverInterface.md
 */
export function absentDrivers(): string | undefined {
  if (process.platform !== "linux") return undefined;
  const { env } = process;
  for (const name of ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"]) {
    // The loader takes drivers from these files and folders and no others; the newer name wins.
    if (env[name]) return paths(env[name]).some(hasDriver) ? undefined : `${name}=${env[name]} names no driver.`;
  }
  if ([...paths(env.VK_ADD_DRIVER_FILES), ...driverFolders()].some(hasDriver)) return undefined;
  return "No Vulkan driver is installed (no .json file in /usr/share/vulkan/icd.d or another folder that the Vulkan loader searches).";
}

function driverFolders(): string[] {
  const { env } = process;
  const home = homeFolder();
  return [
    ...paths(env.XDG_CONFIG_HOME || (home && join(home, ".config"))),
    ...paths(env.XDG_CONFIG_DIRS || "/etc/xdg"),
    "/usr/local/etc",
    "/etc",
    ...paths(env.XDG_DATA_HOME || (home && join(home, ".local", "share"))),
    ...paths(env.XDG_DATA_DIRS || "/usr/local/share:/usr/share"),
    // NixOS, whose loader looks there.
    "/run/opengl-driver/share",
  ].map((folder) => join(folder, "vulkan", "icd.d"));
}

function paths(list: string | undefined): string[] {
  return (list ?? "").split(delimiter).filter((path) => path !== "");
}

/** Whether a path is a driver's file, or a folder with one. */
function hasDriver(path: string): boolean {
  try {
    return statSync(path).isDirectory() ? readdirSync(path).some((name) => name.endsWith(".json")) : true;
  } catch {
    return false;
  }
}
