import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, Histogram, Registry, collectDefaultMetrics, exponentialBuckets } from 'prom-client'
import type { RunReport } from '../../engine/thread/messages.ts'
import { registerGauge } from './read-metrics.ts'

const ROW_BUCKETS = [1, 2, 4, 8, 16, 32, 64]
/** 1 ms to 8 s: from a decode step of a small span to a prefill chunk of a large one. */
const SECOND_BUCKETS = exponentialBuckets(0.001, 2, 14)
/** 0.5 ms to 16 s. */
const WAIT_BUCKETS = exponentialBuckets(0.0005, 2, 16)
const NANOSECONDS = 1e9

/** The part of an engine that its metrics read. */
export interface MeasuredEngine {
  readonly cacheTokens: number
  readonly cacheTokensLeft: number
  readonly numSessions: number
  on(event: 'run', listener: (report: RunReport) => void): unknown
}

/** A new registry with Node's default metrics of the process. */
export function createMetrics(): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  return registry
}

/** Counts an engine's device runs from now on; sizes are read at each scrape. */
export function registerEngineMetrics(registry: Registry, engine: MeasuredEngine): void {
  const registers = [registry]
  const labelNames = ['kind'] as const
  const runs = new Counter({ name: 'petals_device_runs_total', help: 'Device runs', labelNames, registers })
  const tokens = new Counter({
    name: 'petals_tokens_computed_total',
    help: 'Tokens that device runs carried',
    labelNames,
    registers,
  })
  const rows = new Histogram({
    name: 'petals_run_rows',
    help: 'Tasks in a device run',
    buckets: ROW_BUCKETS,
    registers,
  })
  const seconds = new Histogram({
    name: 'petals_run_seconds',
    help: 'Duration of a device run',
    buckets: SECOND_BUCKETS,
    registers,
  })
  const waits = new Histogram({
    name: 'petals_queue_wait_seconds',
    help: 'How long tasks waited before their first device run',
    labelNames,
    buckets: WAIT_BUCKETS,
    registers,
  })
  const failed = new Counter({
    name: 'petals_run_failures_total',
    help: 'Tasks whose device run failed',
    registers,
  })
  const busy = new Counter({ name: 'petals_engine_busy_seconds_total', help: 'Time spent in device runs', registers })
  engine.on('run', (report) => {
    const labels = { kind: report.kind }
    runs.inc(labels)
    tokens.inc(labels, report.tokens)
    rows.observe(report.rows)
    seconds.observe(report.seconds)
    busy.inc(report.seconds)
    for (const wait of report.waits) waits.observe(labels, wait)
    failed.inc(report.results.filter((result) => 'code' in result).length)
  })
  registerGauge(registry, 'petals_cache_tokens', 'Size of the KV cache in tokens', () => engine.cacheTokens)
  registerGauge(
    registry,
    'petals_cache_tokens_left',
    'Tokens of the KV cache that no session has taken',
    () => engine.cacheTokensLeft,
  )
  registerGauge(registry, 'petals_sessions', 'Sessions that hold a part of the KV cache', () => engine.numSessions)
}

/** For how long the longest delay of the event loop is remembered: at least so long, at most twice. */
const DELAY_WINDOW_MS = 60_000

/**
 * Measures the longest time that this thread's event loop was blocked of late; Node's own metric of it is reset at each
 * scrape. Returns the function that ends this.
 */
export function registerEventLoopMetric(registry: Registry, windowMs = DELAY_WINDOW_MS): () => void {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  let before = 0
  const timer = setInterval(() => {
    before = delay.max
    delay.reset()
  }, windowMs)
  timer.unref()
  registerGauge(
    registry,
    'petals_event_loop_delay_max_seconds',
    'Longest delay of the event loop in the last minute or two',
    () => Math.max(delay.max, before) / NANOSECONDS,
  )
  return () => {
    clearInterval(timer)
    delay.disable()
  }
}
