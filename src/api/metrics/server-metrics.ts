import { Histogram, type Registry, exponentialBuckets } from 'prom-client'
import type { RunningServer } from '../../server/serve.ts'
import { RECORD_STATES } from '../../swarm/records/record-fields.ts'
import { registerCounter, registerCounters, registerGauge, registerGauges } from './read-metrics.ts'

/** 1 ms to a minute. */
const STEP_BUCKETS = exponentialBuckets(0.001, 2, 17)
/** A quarter of a second to four hours and a half. */
const SESSION_BUCKETS = exponentialBuckets(0.25, 4, 9)

/** The part of a server that its metrics read. */
export type MeasuredServer = Pick<RunningServer, 'announcer' | 'blocks' | 'discovery' | 'keeper'>

/** Metrics of what a server does for its clients, and of what it knows about its model's swarm. */
export function registerServerMetrics(
  registry: Registry,
  { announcer, blocks, discovery, keeper }: MeasuredServer,
): void {
  const { stats, sessions } = blocks
  registerGauges(registry, 'petals_server_state', '1 for the state that this server announces', ['state'], () =>
    RECORD_STATES.map((state) => ({ labels: { state }, value: announcer.state === state ? 1 : 0 })),
  )
  registerGauges(
    registry,
    'petals_server_info',
    '1, with what this server is in its labels',
    ['model', 'blocks', 'dtype', 'quant', 'kv_dtype', 'device', 'version'],
    () => {
      const { modelKey: model, start, end, dtype, quant, kvDType: kv = dtype, device, version } = announcer.span
      return [{ labels: { model, blocks: `${start}:${end}`, dtype, quant, kv_dtype: kv, device, version }, value: 1 }]
    },
  )
  registerGauge(registry, 'petals_server_sessions', 'Sessions of clients', () => sessions.count)
  registerGauge(registry, 'petals_cache_tokens_parked', 'Tokens of parked sessions', () => sessions.parkedTokens)
  registerCounter(registry, 'petals_server_sessions_total', 'Sessions opened', () => stats.sessionsOpened)
  registerCounter(registry, 'petals_server_steps_total', 'Steps computed for sessions', () => stats.steps)
  registerCounter(
    registry,
    'petals_server_step_tokens_total',
    'Tokens of the steps computed for sessions',
    () => stats.stepTokens,
  )
  registerTimes(registry, stats)
  const kinds = ['forward', 'backward'] as const
  const ofPasses = (what: 'count' | 'tokens') => () =>
    kinds.map((kind) => ({ labels: { kind }, value: stats.passes[kind][what] }))
  registerCounters(
    registry,
    'petals_server_passes_total',
    'Passes computed over whole sequences: forward, or backward for training',
    ['kind'],
    ofPasses('count'),
  )
  registerCounters(registry, 'petals_server_pass_tokens_total', 'Tokens of these passes', ['kind'], ofPasses('tokens'))
  registerCounters(registry, 'petals_server_failures_total', 'Requests and steps that failed', ['code'], () =>
    [...stats.failures].map(([code, value]) => ({ labels: { code }, value })),
  )
  registerGauge(
    registry,
    'petals_server_throughput_tokens_per_second',
    'Decode steps of one sequence per second, as announced',
    () => announcer.throughput,
  )
  registerGauge(
    registry,
    'petals_server_kept_output_bytes',
    'Outputs that sessions keep for their clients to copy',
    () => sessions.outputBudget.bytes,
  )
  registerLoadMetrics(registry, keeper)
  registerKnownServers(registry, discovery)
}

/** How long steps and sessions take. */
function registerTimes(registry: Registry, stats: MeasuredServer['blocks']['stats']): void {
  const registers = [registry]
  const steps = new Histogram({
    name: 'petals_server_step_seconds',
    help: "How long a session's step took, from its turn in the session to its output",
    labelNames: ['kind'] as const,
    buckets: STEP_BUCKETS,
    registers,
  })
  const sessions = new Histogram({
    name: 'petals_server_session_seconds',
    help: 'How long sessions were open',
    buckets: SESSION_BUCKETS,
    registers,
  })
  stats.on('step', (tokens, seconds) => steps.observe({ kind: tokens === 1 ? 'decode' : 'prefill' }, seconds))
  stats.on('session', (seconds) => sessions.observe(seconds))
}

/** How the span that is held was loaded. */
function registerLoadMetrics(registry: Registry, keeper: MeasuredServer['keeper']): void {
  registerCounter(
    registry,
    'petals_server_reloads_total',
    'Times that the span was loaded again after its engine was lost',
    () => keeper.numReloads,
  )
  registerGauge(
    registry,
    'petals_server_load_seconds',
    'How long the span that is held took to load',
    () => keeper.engine.loadSeconds,
  )
  registerGauge(
    registry,
    'petals_server_weight_bytes',
    "What the weights of the span's blocks take",
    () => keeper.engine.weightBytes,
  )
}

/** What is known here of the model's servers. */
function registerKnownServers(registry: Registry, discovery: MeasuredServer['discovery']): void {
  registerGauges(registry, 'petals_swarm_servers', 'Servers of the model that are known here', ['state'], () => {
    const records = discovery.directory.records()
    return RECORD_STATES.map((state) => ({
      labels: { state },
      value: records.filter((record) => record.state === state).length,
    }))
  })
  registerGauge(
    registry,
    'petals_swarm_missing_blocks',
    "The model's blocks that no server known here holds and is ready to compute",
    () => discovery.unserved().length,
  )
}
