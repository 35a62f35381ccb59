import { Counter, Histogram, type Registry, exponentialBuckets } from 'prom-client'
import { PROCESS_PASS_MEMORY } from '../../client/pass/pass-memory.ts'
import { registerGauge } from './read-metrics.ts'

/** The part of a model that its metrics read. */
export interface MeasuredModel {
  on(
    event: 'recovery',
    listener: (recovery: { readonly seconds: number; readonly replayedTokens: number }) => void,
  ): unknown
}

/** 50 ms to 100 s: from one failed push to a whole recovery timeout. */
const SECOND_BUCKETS = exponentialBuckets(0.05, 2, 12)

/** Counts the repairs of models' sessions from now on, and what this process keeps for backward passes. */
export function registerClientMetrics(registry: Registry, ...models: readonly MeasuredModel[]): void {
  const registers = [registry]
  const seconds = new Histogram({
    name: 'petals_client_recovery_seconds',
    help: 'Time that a session needed to go on after a failure',
    buckets: SECOND_BUCKETS,
    registers,
  })
  const tokens = new Counter({
    name: 'petals_client_replayed_tokens_total',
    help: 'Tokens that replacements computed again',
    registers,
  })
  const passBytes = "Bytes of spans' inputs that this process keeps for backward passes"
  registerGauge(registry, 'petals_client_pass_bytes', passBytes, () => PROCESS_PASS_MEMORY.bytes)
  for (const model of models)
    model.on('recovery', (recovery) => {
      seconds.observe(recovery.seconds)
      tokens.inc(recovery.replayedTokens)
    })
}
