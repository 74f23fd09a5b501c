import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lavapipeDriver } from "./lavapipe.js";

/** Places of Firefox on Linux; OCELLUS_FIREFOX names another. */
const PLACES = ["/usr/bin/firefox-esr", "/usr/bin/firefox"];

/** The installed Firefox; undefined if there is none. */
export function firefoxPath(): string | undefined {
  return [process.env.OCELLUS_FIREFOX ?? "", ...PLACES].find((path) => path !== "" && existsSync(path));
}

/** What is missing for a check in Firefox on lavapipe, as a sentence; undefined if nothing is. */
export function missingForFirefox(): string | undefined {
  if (!firefoxPath()) return "it is not installed (Debian: apt-get install firefox-esr; OCELLUS_FIREFOX names it)";
  return lavapipeDriver() ? undefined : "lavapipe is not installed (Debian: apt-get install mesa-vulkan-drivers)";
}

/**
 * WebGPU is off in releases for Linux, and blocked on software adapters. Root in a container has no sandbox. At its start Firefox asks
 * and fetches nothing.
 */
const PREFERENCES: Readonly<Record<string, boolean | number | string>> = {
  "dom.webgpu.enabled": true,
  "dom.webgpu.workers.enabled": true,
  "gfx.webgpu.ignore-blocklist": true,
  "security.sandbox.content.level": 0,
  "security.sandbox.gpu.level": 0,
  "app.normandy.enabled": false,
  "app.update.enabled": false,
  "browser.aboutwelcome.enabled": false,
  "browser.shell.checkDefaultBrowser": false,
  "browser.startup.homepage_override.mstone": "ignore",
  "datareporting.policy.dataSubmissionEnabled": false,
  "extensions.update.enabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "services.settings.server": "data:,#remote-settings-dummy/v1",
  "toolkit.telemetry.reportingpolicy.firstRun": false,
};

/** A headless Firefox with a profile of its own, on one page. */
export class Firefox {
  private constructor(
    private readonly child: ChildProcess,
    private readonly profile: string,
    private readonly ended: Promise<unknown>,
  ) {}

  /** Starts Firefox on a page. */
  static open(url: string): Firefox {
    const profile = mkdtempSync(join(tmpdir(), "ocellus-firefox-"));
    const lines = Object.entries(PREFERENCES).map(
      ([name, value]) => `user_pref("${name}", ${JSON.stringify(value)});\n`,
    );
    writeFileSync(join(profile, "user.js"), lines.join(""));
    const child = spawn(firefoxPath()!, ["--headless", "--no-remote", "--profile", profile, url], {
      env: { ...process.env, HOME: profile, VK_ICD_FILENAMES: lavapipeDriver(), MOZ_CRASHREPORTER_DISABLE: "1" },
      stdio: "ignore",
      // A group of its own, with which its processes end.
      detached: true,
    });
    const ended = new Promise((resolve) => child.once("exit", resolve));
    return new Firefox(child, profile, ended);
  }

  async close(): Promise<void> {
    if (this.child.exitCode === null && this.child.pid !== undefined) process.kill(-this.child.pid, "SIGKILL");
    await this.ended;
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
