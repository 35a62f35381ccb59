import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { seededRandom } from '../../../src/sampling/random.ts'
import type { InferenceSession } from '../../../src/client/session/inference-session.ts'
import { TestSwarm, expected, hidden, tokensOf } from './servers.ts'

const SPANS = [
  [0, 2],
  [2, 4],
  [4, 6],
] as const
const NUM_SESSIONS = 4,
  ROUNDS = 12

interface Held {
  readonly session: InferenceSession
  readonly tokens: readonly number[]
}

async function feed({ session, tokens }: Held, token: number): Promise<Held> {
  const sequence = [...tokens, token]
  assert.equal(session.position, tokens.length)
  assert.deepEqual(tokensOf(await session.step(hidden([token]))), expected(sequence).slice(-1))
  return { session, tokens: sequence }
}

/** Each of `parents` goes on in one session; the other sessions take their state from theirs. */
function rearrange(all: readonly Held[], parents: readonly number[]): Promise<Held[]> {
  const free = all.filter((_, i) => !parents.includes(i))
  const kept = new Set<number>()
  return Promise.all(
    parents.map(async (parent) => {
      const source = all[parent]!
      if (!kept.has(parent)) {
        kept.add(parent)
        return source
      }
      const target = free.pop()!
      await target.session.forkFrom(source.session)
      return { session: target.session, tokens: source.tokens }
    }),
  )
}

for (const seed of Array.from(
  { length: Number(process.env['SEEDS'] ?? 6) },
  (_, i) => i + Number(process.env['FROM'] ?? 0),
)) {
  test(`sessions forked at random while servers die and freeze hold what they should (seed ${seed})`, async (t) => {
    const random = seededRandom(seed)
    const below = (n: number): number => Math.floor(random() * n)
    const swarm = new TestSwarm(t)
    for (const [start, end] of SPANS) await swarm.serve(start, end)
    const first: Held = {
      session: swarm.session({ recoveryTimeoutMs: 20_000 }),
      tokens: Array.from({ length: 1 + below(70) }, () => below(100)),
    }
    await first.session.step(hidden(first.tokens))
    let all = [
      first,
      ...(await Promise.all(
        Array.from({ length: NUM_SESSIONS - 1 }, async () => ({ ...first, session: await first.session.fork() })),
      )),
    ]
    for (let round = 0; round < ROUNDS; round++) {
      const [start, end] = SPANS[below(3)]!
      const victim = swarm.servers.find(
        (server) => server.start === start && swarm.network.has(server.id) && !server.peer.frozen,
      )!
      const action = below(5)
      const delayMs = below(8)
      const disturbed = (async () => {
        if (action > 1) return
        await swarm.serve(start, end)
        if (delayMs > 0) await sleep(delayMs)
        if (action === 0) swarm.kill(victim)
        else victim.peer.frozen = true
      })()
      all = await rearrange(
        all,
        Array.from({ length: NUM_SESSIONS }, () => below(NUM_SESSIONS)),
      )
      all = await Promise.all(all.map((held) => feed(held, below(100))))
      await disturbed
    }
    await Promise.all(all.map(({ session }) => session.close()))
  })
}
