import type { Logger } from 'pino'
import { sizeText } from '../../base/size.ts'
import { type DownloadProgress, TransferRate } from '../../checkpoint/hub/download/progress.ts'
import type { LoadProgress } from '../../engine/loading/load.ts'
import { BarLine, type Shown, leftText } from './bar-line.ts'

const LOG_INTERVAL_MS = 5000

/** Shows the progress of long work: as a bar on a terminal, elsewhere as a log line every few seconds. */
export class ProgressView {
  readonly #logger: Logger
  readonly #now: () => number
  readonly #isTerminal: boolean
  #line: BarLine | LogLine | undefined
  #what = ''

  constructor(
    logger: Logger,
    {
      now = () => performance.now(),
      isTerminal = process.stderr.isTTY,
    }: { now?: () => number; isTerminal?: boolean } = {},
  ) {
    this.#logger = logger
    this.#now = now
    this.#isTerminal = isTerminal && logger.isLevelEnabled('info')
  }

  /** Returns the listener for a download's progress. */
  download(): (progress: DownloadProgress) => void {
    const rate = new TransferRate()
    return (progress) => {
      const { bytes, totalBytes, downloadedBytes } = progress
      if (downloadedBytes === 0) return
      rate.add(progress, this.#now())
      const speed = rate.bytesPerSecond === undefined ? '' : `, ${sizeText(rate.bytesPerSecond)}/s`
      this.#show('downloading', {
        share: bytes / totalBytes,
        detail: `${sizeText(bytes)} of ${sizeText(totalBytes)}${speed}${leftText(rate.secondsLeft)}`,
      })
    }
  }

  /** Returns the listener for the progress of loading blocks. */
  loading(): (progress: LoadProgress) => void {
    const began = this.#now()
    return (progress) => {
      if ('toPrepare' in progress) {
        const { prepared, toPrepare } = progress
        this.#show('compiling for the device', {
          share: prepared / toPrepare,
          detail: `${prepared} of ${toPrepare} kinds of runs`,
        })
        return
      }
      const { blocksLoaded, numBlocks } = progress
      const seconds = (this.#now() - began) / 1000
      const left = blocksLoaded === 0 ? undefined : (seconds / blocksLoaded) * (numBlocks - blocksLoaded)
      this.#show('loading', {
        share: blocksLoaded / numBlocks,
        detail: `${blocksLoaded} of ${numBlocks} blocks${leftText(left)}`,
      })
    }
  }

  /** Removes an unfinished bar. */
  stop(): void {
    this.#line?.stop()
    this.#line = undefined
  }

  #show(what: string, shown: Shown): void {
    if (this.#what !== what || this.#line === undefined) {
      this.stop()
      this.#what = what
      this.#line = this.#isTerminal ? new BarLine(what) : new LogLine(what, this.#logger, this.#now)
    }
    this.#line.update(shown)
    if (shown.share >= 1) this.stop()
  }
}

/** Progress in a log. Work that takes less than the interval is not logged. */
class LogLine {
  readonly #what: string
  readonly #logger: Logger
  readonly #now: () => number
  #loggedAt: number
  #hasLogged = false

  constructor(what: string, logger: Logger, now: () => number) {
    this.#what = what
    this.#logger = logger
    this.#now = now
    this.#loggedAt = now()
  }

  update({ share, detail }: Shown): void {
    const isDue = this.#now() - this.#loggedAt >= LOG_INTERVAL_MS || (share >= 1 && this.#hasLogged)
    if (!isDue) return
    this.#loggedAt = this.#now()
    this.#hasLogged = true
    this.#logger.info(`${this.#what}: ${detail}`)
  }

  stop(): void {
    // A log has nothing to be taken away.
  }
}
