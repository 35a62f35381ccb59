import { startLocalSwarm } from '../src/cli/process/local-swarm.ts'
import { AutoDistributedModelForCausalLM } from '../src/client/model/model.ts'
import { BareRing } from './bare-ring.ts'
import { readMetric } from './metrics.ts'
import { median, sum } from './statistics.ts'

const TOKENS = 400
const ROUNDS = 5

/** About what a span of the bundled model computes for. */
const PAUSE_MS = 0.7

/** Tokens before the first round: a node runs for days, and code that is not compiled yet takes three times as long. */
const WARM_UP_ROUNDS = 4
const MODEL = new URL('../models/demo', import.meta.url).pathname
const SPANS: [number, number][] = [
  [0, 3],
  [3, 6],
  [6, 8],
]

/**
 * What a token costs beyond its computation in a chain of three servers, beside a bare ring of four processes with the
 * same libp2p options and payload. Rounds alternate, so that both see the same machine.
 */
export async function benchHop(): Promise<void> {
  const swarm = await startLocalSwarm({ model: MODEL, spans: SPANS, threads: 1 })
  const model = await AutoDistributedModelForCausalLM.fromPretrained(MODEL, {
    bootstrap: [swarm.bootstrap],
    threads: 1,
  })
  const bytes = model.checkpoint.config.hiddenSize * 4
  const ring = await BareRing.start(SPANS.length + 1, bytes)
  const pausing = await BareRing.start(SPANS.length + 1, bytes, PAUSE_MS)
  try {
    const ports = swarm.servers.map(({ metricsPort }) => metricsPort!)
    for (let round = 0; round < WARM_UP_ROUNDS; round++) {
      await ring.turn(TOKENS)
      await pausing.turn(TOKENS)
      await decodeOverhead(model, ports)
    }
    const overheads: number[] = [],
      bare: number[] = [],
      paused: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const times = await ring.turn(TOKENS)
      paused.push(median(await pausing.turn(TOKENS)) - SPANS.length * PAUSE_MS)
      const chain = await decodeOverhead(model, ports)
      overheads.push(chain.overheadMs)
      bare.push(median(times))
      console.log(
        `round ${round + 1}: a token ${chain.tokenMs.toFixed(2)} ms, ` +
          `of it computation ${chain.computeMs.toFixed(2)} ms, beyond it ${chain.overheadMs.toFixed(2)} ms; ` +
          `bare ring ${median(times).toFixed(2)} ms; ratio ${(chain.overheadMs / median(times)).toFixed(2)}`,
      )
    }
    console.log(
      `median beyond computation ${median(overheads).toFixed(2)} ms, bare ring ${median(bare).toFixed(2)} ms, ` +
        `ratio ${(median(overheads) / median(bare)).toFixed(2)} (goal: at most 2)`,
    )
    console.log(
      `a bare ring whose servers read memory for ${PAUSE_MS} ms before they send on, as blocks do: ` +
        `${median(paused).toFixed(2)} ms beyond that, ${(median(paused) / median(bare)).toFixed(2)} times ` +
        'the bare ring',
    )
  } finally {
    ring.stop()
    pausing.stop()
    await model.close()
    await swarm.stop()
  }
}

async function decodeOverhead(
  model: AutoDistributedModelForCausalLM,
  ports: readonly number[],
): Promise<{ tokenMs: number; computeMs: number; overheadMs: number }> {
  const busy = async (): Promise<number> =>
    sum(await Promise.all(ports.map((port) => readMetric(port, 'petals_engine_busy_seconds_total'))))
  let endsSeconds = 0
  const count = (seconds: number): void => {
    endsSeconds += seconds
  }
  const session = model.inferenceSession({ maxLength: TOKENS + 8 })
  try {
    let logits = await session.next([0, 39, 70, 1072])
    const before = await busy()
    model.ends.on('run', count)
    const times: number[] = []
    let samplingMs = 0
    for (let i = 0; i < TOKENS; i++) {
      const began = performance.now()
      const id = logits.reduce((best, logit, at) => (logit > logits[best]! ? at : best), 0)
      samplingMs += performance.now() - began
      logits = await session.next([id])
      times.push(performance.now() - began)
    }
    const computeMs = (((await busy()) - before + endsSeconds) * 1000 + samplingMs) / TOKENS
    return { tokenMs: median(times), computeMs, overheadMs: median(times) - computeMs }
  } finally {
    model.ends.off('run', count)
    await session.close()
  }
}
