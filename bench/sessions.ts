import { startLocalSwarm } from '../src/cli/process/local-swarm.ts'
import { AutoDistributedModelForCausalLM } from '../src/client/model/model.ts'
import { readMetric } from './metrics.ts'
import { median } from './statistics.ts'

const TOKENS = 64
const SESSIONS = 16
const ROUNDS = 3
const MODEL = new URL('../models/demo', import.meta.url).pathname
const PROMPT = 'The state of the Union is'

/** Tokens/s of sixteen concurrent sessions on one server against one session alone. */
export async function benchSessions(): Promise<void> {
  const swarm = await startLocalSwarm({ model: MODEL, spans: [[0, 8]] })
  const model = await AutoDistributedModelForCausalLM.fromPretrained(MODEL, { bootstrap: [swarm.bootstrap] })
  const port = swarm.servers[0]!.metricsPort!
  const rate = async (sessions: number): Promise<number> => {
    const began = performance.now()
    await Promise.all(
      Array.from({ length: sessions }, () => model.generate(PROMPT, { maxNewTokens: TOKENS, eosTokenIds: [] })),
    )
    return (sessions * TOKENS * 1000) / (performance.now() - began)
  }
  try {
    await rate(2)
    const ratios: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const alone = await rate(1)
      const before = await readMetric(port, 'petals_device_runs_total', 'decode')
      const together = await rate(SESSIONS)
      const runs = (await readMetric(port, 'petals_device_runs_total', 'decode')) - before
      ratios.push(together / alone)
      console.log(
        `round ${round + 1}: 1 session ${alone.toFixed(0)} tokens/s, ` +
          `${SESSIONS} sessions ${together.toFixed(0)} tokens/s, ratio ${(together / alone).toFixed(2)}; ` +
          `${((SESSIONS * (TOKENS - 1)) / runs).toFixed(1)} rows a run`,
      )
    }
    console.log(`median ratio ${median(ratios).toFixed(2)} (goal: at least 4)`)
  } finally {
    await model.close()
    await swarm.stop()
  }
}
