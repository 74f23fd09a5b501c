/** Progress, rate and remaining time of a download. */

import type { HubFile } from "./hub-names.js";

/** Progress of a download. Sizes are in bytes. Bytes of earlier runs count as loaded, but not for the rate. */
export interface DownloadProgress {
  /** The file that progressed, relative to the repository. */
  readonly file: string;
  readonly loadedBytes: number;
  readonly totalBytes: number;
  readonly allLoadedBytes: number;
  /** Bytes of all files of the checkpoint that were not in the cache at the start. */
  readonly allTotalBytes: number;
  /** Moving average. */
  readonly bytesPerSecond: number;
  /** Estimated remaining time; undefined without a rate. */
  readonly secondsLeft: number | undefined;
}

/** Minimum interval of reports, except at the end of a file. */
const REPORT_MILLISECONDS = 100;
/** Window of the moving average in milliseconds. */
const WINDOW_MILLISECONDS = 5_000;

/** Counts the bytes of all files and reports them a few times a second. */
export class DownloadMeter {
  private readonly loaded = new Map<string, number>();
  private readonly totals = new Map<string, number>();
  /** When bytes arrived, oldest first. */
  private readonly arrivals: { atMilliseconds: number; bytes: number }[] = [];
  private windowBytes = 0;
  private lastReport = Number.NEGATIVE_INFINITY;
  private started: number | undefined;

  constructor(
    private readonly report: ((progress: DownloadProgress) => void) | undefined,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Adds files to the total. */
  expect(files: readonly HubFile[]): void {
    for (const { path, sizeBytes } of files) this.totals.set(path, sizeBytes);
  }

  /** Updates a file's `loadedBytes`, of which `arrivedBytes` are new from the network. */
  at(file: HubFile, loadedBytes: number, arrivedBytes: number): void {
    const now = this.now();
    this.started ??= now;
    this.expect([file]);
    this.loaded.set(file.path, loadedBytes);
    if (arrivedBytes > 0) {
      const last = this.arrivals.at(-1);
      if (last && now - last.atMilliseconds < REPORT_MILLISECONDS) last.bytes += arrivedBytes;
      else this.arrivals.push({ atMilliseconds: now, bytes: arrivedBytes });
      this.windowBytes += arrivedBytes;
    }
    while (this.arrivals.length > 0 && this.arrivals[0]!.atMilliseconds < now - WINDOW_MILLISECONDS) {
      this.windowBytes -= this.arrivals.shift()!.bytes;
    }
    if (loadedBytes < file.sizeBytes && now - this.lastReport >= REPORT_MILLISECONDS) this.send(file, now);
  }

  /** Reports a complete and verified file. */
  done(file: HubFile): void {
    this.at(file, file.sizeBytes, 0);
    this.send(file, this.now());
  }

  private send(file: HubFile, now: number): void {
    this.lastReport = now;
    if (!this.report) return;
    const seconds = Math.min(WINDOW_MILLISECONDS, Math.max(now - (this.started ?? now), 1)) / 1000;
    const bytesPerSecond = this.windowBytes / seconds;
    const sum = (of: Map<string, number>): number => [...of.values()].reduce((total, bytes) => total + bytes, 0);
    const allLoadedBytes = sum(this.loaded);
    const allTotalBytes = sum(this.totals);
    const left = allTotalBytes - allLoadedBytes;
    this.report({
      file: file.path,
      loadedBytes: this.loaded.get(file.path)!,
      totalBytes: file.sizeBytes,
      allLoadedBytes,
      allTotalBytes,
      bytesPerSecond,
      secondsLeft: left === 0 ? 0 : bytesPerSecond > 0 ? left / bytesPerSecond : undefined,
    });
  }
}
