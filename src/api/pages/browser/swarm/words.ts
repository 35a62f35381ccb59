import { amount, duration } from '../shared/format.ts'
import type { ServerSnapshot } from '../../../swarm-view/snapshot.ts'

/** Stands where there is no figure. */
export const NONE = '–'

/** A server's state in one word, and how it is drawn. */
export function stateOf({ state, answers, isAvoided }: ServerSnapshot): {
  readonly text: string
  readonly tone: string
} {
  if (!answers) return { text: 'no answer', tone: 'bad' }
  if (isAvoided) return { text: 'avoided', tone: 'warning' }
  if (state === 'ONLINE') return { text: 'online', tone: 'good' }
  return { text: state.toLowerCase(), tone: 'warning' }
}

/** What it computes in. */
export function arithmeticOf({ device, dtype, quant, kvDType }: ServerSnapshot): string {
  return [device, dtype, ...(quant === 'none' ? [] : [quant]), ...(kvDType === dtype ? [] : [`${kvDType} cache`])].join(
    ' ',
  )
}

export function rateText(throughput: number): string {
  return throughput === 0 ? NONE : amount(throughput)
}

export function queueText(queueMs: number): string {
  return queueMs < 1 ? NONE : duration(queueMs / 1000)
}

/** A round trip, with a digit behind the point while it is short. */
export function roundTripText(ms: number | undefined): string {
  if (ms === undefined) return NONE
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
}

/** The share of a cache that is in use; undefined where there is none. */
export function cacheShare({ cacheTokens, cacheTokensLeft }: Pick<ServerSnapshot, 'cacheTokens' | 'cacheTokensLeft'>) {
  return cacheTokens === 0 ? undefined : 1 - cacheTokensLeft / cacheTokens
}
