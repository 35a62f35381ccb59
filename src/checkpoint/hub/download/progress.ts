/** How far a download has come. */
export interface DownloadProgress {
  /** The file that the latest bytes are of. */
  readonly file: string
  /** Of all that is wanted, what is here and checked or has just come. */
  readonly bytes: number
  readonly totalBytes: number
  /** What of it came over the network in this call. */
  readonly downloadedBytes: number
}

/** A screen shows no more; a line in a log far less. */
const INTERVAL_MS = 100

/** Counts bytes and reports them now and then, and in any case the last ones. */
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

  /** Bytes that were here already. */
  found(file: string, bytes: number): void {
    this.#bytes += bytes
    this.#tell(file)
  }

  downloaded(file: string, bytes: number): void {
    this.#downloadedBytes += bytes
    this.found(file, bytes)
  }

  /** Bytes that were counted turn out to be of no use. */
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

/** The rate is that of the last seconds, so that it follows the network. */
const WINDOW_MS = 10_000

/** The rate of a download and the time that is left, from its progress events. */
export class TransferRate {
  readonly #samples: { readonly at: number; readonly bytes: number }[] = []
  #leftBytes = 0

  /** `nowMs` as `performance.now()` gives it. */
  add(progress: DownloadProgress, nowMs: number): void {
    this.#samples.push({ at: nowMs, bytes: progress.downloadedBytes })
    while (this.#samples.length > 2 && this.#samples[0]!.at < nowMs - WINDOW_MS) this.#samples.shift()
    this.#leftBytes = progress.totalBytes - progress.bytes
  }

  /** Undefined until two moments are known. */
  get bytesPerSecond(): number | undefined {
    const first = this.#samples[0]
    const last = this.#samples.at(-1)
    if (first === undefined || last === undefined || last.at <= first.at) return undefined
    return ((last.bytes - first.bytes) / (last.at - first.at)) * 1000
  }

  /** Undefined while nothing moves. */
  get secondsLeft(): number | undefined {
    const rate = this.bytesPerSecond
    return rate === undefined || rate <= 0 ? undefined : this.#leftBytes / rate
  }
}
