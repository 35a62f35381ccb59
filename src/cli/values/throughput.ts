import { UsageError } from '../../base/errors.ts'

/** What --throughput says, in tokens per second; undefined for auto. Throws `USAGE`. */
export function parseThroughput(text: string): number | undefined {
  if (text === 'auto') return undefined
  const throughput = Number(text)
  if (text.trim() !== '' && Number.isFinite(throughput) && throughput > 0) return throughput
  throw new UsageError(`--throughput ${text}: expected auto, or tokens per second, like 12.5`)
}
