import type { ReplayCopies } from '../../client/session/open.ts'

/** Reads `--replay-copies`, whose choices have been checked. */
export function parseReplayCopies(value: string): ReplayCopies {
  return value as ReplayCopies
}
