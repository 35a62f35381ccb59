import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import { modelKey } from '../src/checkpoint/weights/fingerprint.ts'
import { startLocalSwarm } from '../src/cli/process/local-swarm.ts'
import type { FairnessClientOptions } from './fairness/client.ts'

const MODEL = new URL('../models/demo', import.meta.url).pathname
const MODEST = 4
const GREEDY_SESSIONS = 32
const WARM_UP_MS = 2000
const MEASURED_MS = 6000
const ROUNDS = 2

/**
 * What four clients of one session each keep beside a client of 32: tokens/s of each, against an equal share, which is
 * what each has beside a fifth one like themselves. One server, each client a process.
 */
export async function benchFairness(): Promise<void> {
  const swarm = await startLocalSwarm({ model: MODEL, spans: [[0, 8]] })
  const { config, ...checkpoint } = await openCheckpoint(MODEL)
  const { peerId, multiaddrs } = swarm.servers[0]!
  const common = {
    server: { peerId, multiaddrs },
    modelKey: await modelKey({ config, ...checkpoint }, undefined),
    end: config.numBlocks,
    hiddenSize: config.hiddenSize,
  }
  try {
    for (let round = 1; round <= ROUNDS; round++) {
      const alike = await rates(common, [...Array<number>(MODEST).fill(1), 1])
      const beside = await rates(common, [...Array<number>(MODEST).fill(1), GREEDY_SESSIONS])
      const share = alike.reduce((sum, rate) => sum + rate, 0) / alike.length
      const modest = beside.slice(0, MODEST)
      console.log(
        `round ${round}: five alike ${text(alike)} tokens/s; beside a client of ${GREEDY_SESSIONS} sessions ` +
          `${text(modest)}, that one ${beside.at(-1)!.toFixed(0)}; the least of the modest ones keeps ` +
          `${((100 * Math.min(...modest)) / share).toFixed(0)} % (goal: at least 80)`,
      )
    }
  } finally {
    await swarm.stop()
  }
}

function text(rates: readonly number[]): string {
  return rates.map((rate) => rate.toFixed(0)).join(', ')
}

/** Tokens/s of clients with so many sessions each, at the same time. */
async function rates(common: Omit<FairnessClientOptions, 'sessions'>, sessions: readonly number[]): Promise<number[]> {
  const clients = sessions.map((count) =>
    fork(new URL('./fairness/client.ts', import.meta.url), [JSON.stringify({ ...common, sessions: count })]),
  )
  try {
    await Promise.all(clients.map((client) => once(client, 'message')))
    await sleep(WARM_UP_MS)
    const before = await Promise.all(clients.map((client) => tokensOf(client)))
    const began = performance.now()
    await sleep(MEASURED_MS)
    const after = await Promise.all(clients.map((client) => tokensOf(client)))
    const seconds = (performance.now() - began) / 1000
    return after.map((tokens, i) => (tokens - before[i]!) / seconds)
  } finally {
    for (const client of clients) client.kill('SIGKILL')
  }
}

async function tokensOf(client: ChildProcess): Promise<number> {
  client.send('tokens')
  const [tokens] = (await once(client, 'message')) as [number]
  return tokens
}
