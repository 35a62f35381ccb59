import type { Logger } from 'pino'
import type { LoadProgress } from '../../engine/load.ts'

const LOG_INTERVAL_MS = 5000

/** Logs how far loading has come, a line every few seconds: small models load without any. */
export function logLoading(logger: Logger): (progress: LoadProgress) => void {
  let loggedAt = performance.now()
  return ({ blocksLoaded, numBlocks }) => {
    if (performance.now() - loggedAt < LOG_INTERVAL_MS) return
    loggedAt = performance.now()
    logger.info(`loaded ${blocksLoaded} of ${numBlocks} blocks`)
  }
}
