import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import { modelKey } from '../src/checkpoint/model-key.ts'
import { startLocalSwarm } from '../src/cli/process/local-swarm.ts'
import type { SetSessions } from './fairness/client.ts'
import { median } from './statistics.ts'

const MODEL = new URL('../models/demo', import.meta.url).pathname
const MODEST = 4
const GREEDY_SESSIONS = 32
const WARM_UP_MS = 2000
/** After a change of what the greedy client does, until things have settled. */
const SETTLE_MS = 1500
const SLICE_MS = 1500
const SLICES = 10

/**
 * What four clients of one session each keep beside a client of 32: tokens/s of each, against an equal share, which is
 * what each has beside a fifth one like themselves. One server, each client a process. The fifth client changes from
 * one session to 32 and back every few seconds: what else a machine does is in both.
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
  const sessions = [...Array<number>(MODEST).fill(1), GREEDY_SESSIONS]
  const clients = sessions.map((count) =>
    fork(new URL('./fairness/client.ts', import.meta.url), [JSON.stringify({ ...common, sessions: count })]),
  )
  try {
    await Promise.all(clients.map((client) => once(client, 'message')))
    await sleep(WARM_UP_MS)
    const kept: number[] = []
    for (let slice = 1; slice <= SLICES; slice++) {
      const alike = await rates(clients, 1)
      const beside = await rates(clients, GREEDY_SESSIONS)
      const share = alike.reduce((sum, rate) => sum + rate, 0) / alike.length
      kept.push(Math.min(...beside.slice(0, MODEST)) / share)
      console.log(
        `five alike ${text(alike)} tokens/s; beside a client of ${GREEDY_SESSIONS} sessions ` +
          `${text(beside.slice(0, MODEST))}, that one ${beside.at(-1)!.toFixed(0)}; the least of the modest ones ` +
          `keeps ${(100 * kept.at(-1)!).toFixed(0)} %`,
      )
    }
    console.log(
      `in the middle the least of the modest ones keeps ${(100 * median(kept)).toFixed(0)} % (goal: at least 80)`,
    )
  } finally {
    for (const client of clients) client.kill('SIGKILL')
    await swarm.stop()
  }
}

function text(rates: readonly number[]): string {
  return rates.map((rate) => rate.toFixed(0)).join(', ')
}

/** Tokens/s of all clients while so many sessions of the last one decode. */
async function rates(clients: readonly ChildProcess[], active: number): Promise<number[]> {
  clients.at(-1)!.send({ active } satisfies SetSessions)
  await sleep(SETTLE_MS)
  const before = await Promise.all(clients.map((client) => tokensOf(client)))
  const began = performance.now()
  await sleep(SLICE_MS)
  const after = await Promise.all(clients.map((client) => tokensOf(client)))
  const seconds = (performance.now() - began) / 1000
  return after.map((tokens, i) => (tokens - before[i]!) / seconds)
}

async function tokensOf(client: ChildProcess): Promise<number> {
  client.send('tokens')
  const [tokens] = (await once(client, 'message')) as [number]
  return tokens
}
