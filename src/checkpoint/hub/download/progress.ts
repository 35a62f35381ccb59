/** The progress of one download. */
export interface DownloadProgress {
  /** The file that the latest bytes belong to. */
  readonly file: string
  /** Bytes that are here: found on disk and verified, or just downloaded. */
  readonly bytes: number
  readonly totalBytes: number
  /** How many of `bytes` were downloaded by this call. */
  readonly downloadedBytes: number
}

/** The shortest time between two reports: a screen shows no more, and a log needs far less. */
const INTERVAL_MS = 100

/** Counts bytes and reports them at most every `INTERVAL_MS`; the last bytes are always reported. */
export class ProgressMeter {
  readonly #totalBytes: number
  readonly #report: ((progress: DownloadProgress) => void) | undefined
  #bytes = 0
  #downloadedBytes = 0
  #reportedAt = -Infinity

  constructor(totalBytes: number, report: ((progress: DownloadProgress) => void) | undefined) {
    this.#totalBytes = totalBytes
    this.#report = report
  }

  /** Counts bytes that were on this disk. */
  found(file: string, bytes: number): void {
    this.#bytes += bytes
    this.#tell(file)
  }

  /** Counts bytes that have just come. */
  downloaded(file: string, bytes: number): void {
    this.#downloadedBytes += bytes
    this.found(file, bytes)
  }

  /** Takes back bytes that were counted but have to be fetched again. */
  lost(bytes: number): void {
    this.#bytes -= bytes
  }

  #tell(file: string): void {
    const now = performance.now()
    if (this.#bytes < this.#totalBytes && now - this.#reportedAt < INTERVAL_MS) return
    this.#reportedAt = now
    this.#report?.({ file, bytes: this.#bytes, totalBytes: this.#totalBytes, downloadedBytes: this.#downloadedBytes })
  }
}

/** The rate is measured over this time, so that it follows the network's changes. */
const WINDOW_MS = 10_000

/** The rate of a download and its remaining time, from its progress reports. */
export class TransferRate {
  readonly #samples: { readonly at: number; readonly bytes: number }[] = []
  #leftBytes = 0

  /** Takes a report; `nowMs` is its time by `performance.now()`. */
  add(progress: DownloadProgress, nowMs: number): void {
    this.#samples.push({ at: nowMs, bytes: progress.downloadedBytes })
    while (this.#samples.length > 2 && this.#samples[0]!.at < nowMs - WINDOW_MS) this.#samples.shift()
    this.#leftBytes = progress.totalBytes - progress.bytes
  }

  /** Undefined before the second report. */
  get bytesPerSecond(): number | undefined {
    const first = this.#samples[0]
    const last = this.#samples.at(-1)
    if (first === undefined || last === undefined || last.at <= first.at) return undefined
    return ((last.bytes - first.bytes) / (last.at - first.at)) * 1000
  }

  /** Undefined while the rate is unknown or 0. */
  get secondsLeft(): number | undefined {
    const rate = this.bytesPerSecond
    return rate === undefined || rate <= 0 ? undefined : this.#leftBytes / rate
  }
}
