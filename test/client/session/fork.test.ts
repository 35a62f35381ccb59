import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { PetalsError } from '../../../src/base/errors.ts'
import type { InferenceSession, Recovery } from '../../../src/client/session/inference-session.ts'
import { eventually } from '../../eventually.ts'
import { type TestServer, TestSwarm, expected, hidden, tokensOf } from './servers.ts'

/** Longer than a client waits until it fetches copies. */
const COPIES_PULLED_MS = 350

/** Sends the tokens of `sequence` that the session does not hold yet, and checks what comes back. */
async function feed(session: InferenceSession, sequence: readonly number[]): Promise<void> {
  const { position } = session
  assert.deepEqual(tokensOf(await session.step(hidden(sequence.slice(position)))), expected(sequence).slice(position))
}

const PROMPT = Array.from({ length: 80 }, (_, i) => (i * 7) % 101)

interface Setup {
  swarm: TestSwarm
  servers: TestServer[]
  session: InferenceSession
}

/** A session that holds the prompt, on three servers. */
async function prefilled(t: TestContext): Promise<Setup> {
  const swarm = new TestSwarm(t)
  const servers = [await swarm.serve(0, 2), await swarm.serve(2, 4), await swarm.serve(4, 6)]
  const session = swarm.session()
  await feed(session, PROMPT)
  return { swarm, servers, session }
}

const computed = (servers: readonly TestServer[]): number[] => servers.map(({ computedTokens }) => computedTokens)

test('a fork goes on from its source without computing anything again, and neither changes the other', async (t) => {
  const { servers, session } = await prefilled(t)
  const forks = await Promise.all([session.fork(), session.fork(), session.fork(40)])
  assert.deepEqual(
    forks.map(({ position }) => position),
    [80, 80, 40],
  )
  assert.deepEqual(computed(servers), [80, 80, 80])
  await Promise.all([session, ...forks].map((each, i) => feed(each, [...PROMPT.slice(0, each.position), 90 + i, 3, i])))
  assert.deepEqual(computed(servers), [92, 92, 92])
  assert.deepEqual(
    servers.map(({ numForks }) => numForks),
    [3, 3, 3],
  )
})

test('a session may be forked into one that holds something else, again and again', async (t) => {
  const { servers, session } = await prefilled(t)
  const other = await session.fork(10)
  await feed(other, [...PROMPT.slice(0, 10), 5, 5, 5, 5])
  for (let round = 0; round < 5; round++) {
    await other.forkFrom(session)
    const texts = [session, other].map((each, i) => ({
      each,
      text: [...PROMPT, ...Array<number>(round).fill(1), 1 + i],
    }))
    await Promise.all(texts.map(({ each, text }) => feed(each, text)))
  }
  await session.forkFrom(other, 84)
  await feed(session, [...PROMPT, 1, 1, 1, 1, 9])
  assert.deepEqual(computed(servers), [95, 95, 95])
})

for (const [index, name] of ['first', 'second', 'last'].entries()) {
  for (const settled of [false, true]) {
    const when = settled ? ' and its copies have come' : ''
    test(`where the ${name} server dies after a fork${when}, its successor carries source and fork on`, async (t) => {
      const { swarm, servers, session } = await prefilled(t)
      const fork = await session.fork()
      await feed(fork, [...PROMPT, 5])
      await feed(session, [...PROMPT, 6])
      if (settled) await sleep(COPIES_PULLED_MS)
      const victim = servers[index]!
      const spare = await swarm.serve(victim.start, victim.end)
      swarm.kill(victim)
      await Promise.all([feed(session, [...PROMPT, 6, 7]), feed(fork, [...PROMPT, 5, 8])])
      await fork.forkFrom(session)
      await Promise.all([feed(session, [...PROMPT, 6, 7, 1]), feed(fork, [...PROMPT, 6, 7, 2])])
      assert.equal(spare.computedTokens, 2 * 82 + 2)
      assert.deepEqual(computed(servers.filter((each) => each !== victim)), [86, 86])
    })
  }
}

test('a server that dies while it copies is replaced, and its span alone replayed', async (t) => {
  const { swarm, servers, session } = await prefilled(t)
  const fork = await session.fork(3)
  const recoveries: Recovery[] = []
  fork.on('recovery', (recovery) => recoveries.push(recovery))
  const spare = await swarm.serve(2, 4)
  servers[1]!.beforeFork = () => swarm.kill(servers[1]!)
  await fork.forkFrom(session)
  assert.deepEqual(
    recoveries.map(({ lost }) => lost),
    [[servers[1]!.id]],
  )
  await Promise.all([feed(session, [...PROMPT, 1]), feed(fork, [...PROMPT, 2])])
  assert.deepEqual([...computed([servers[0]!, servers[2]!]), spare.computedTokens], [82, 82, 162])
})

test('a frozen server is found while it is to copy', async (t) => {
  const { swarm, servers, session } = await prefilled(t)
  const fork = await session.fork(3)
  await swarm.serve(4, 6)
  servers[2]!.peer.frozen = true
  await fork.forkFrom(session)
  await feed(fork, [...PROMPT, 2])
  await feed(session, [...PROMPT, 1])
})

test('what a server refuses to copy is replayed', async (t) => {
  const { servers, session } = await prefilled(t)
  servers[1]!.beforeFork = () => {
    throw new PetalsError('SESSION_FORK', 'not here')
  }
  const fork = await session.fork()
  await Promise.all([feed(session, [...PROMPT, 1]), feed(fork, [...PROMPT, 2])])
  assert.deepEqual(computed(servers), [82, 162, 82])
})

test('sessions on different servers come together in a fork', async (t) => {
  const swarm = new TestSwarm(t)
  const servers = [await swarm.serve(0, 3), await swarm.serve(3, 6)]
  const session = swarm.session()
  await feed(session, PROMPT)
  swarm.banned.add(servers[1]!.id)
  const others = [await swarm.serve(3, 4), await swarm.serve(4, 6)]
  const other = swarm.session()
  await feed(other, [1, 2, 3])
  swarm.banned.clear()
  assert.deepEqual(computed(others), [3, 3])
  await other.forkFrom(session)
  await Promise.all([feed(session, [...PROMPT, 1]), feed(other, [...PROMPT, 2])])
  assert.deepEqual(computed([...servers, ...others]), [85, 82, 3, 3])
})

test("where the source's server has no room, the fork runs elsewhere and is replayed", async (t) => {
  const swarm = new TestSwarm(t)
  const servers = [await swarm.serve(0, 3), await swarm.serve(3, 6, { cacheTokens: 256 })]
  const session = swarm.session()
  await feed(session, PROMPT)
  const spare = await swarm.serve(3, 6)
  const fork = await session.fork()
  await Promise.all([feed(session, [...PROMPT, 1]), feed(fork, [...PROMPT, 2])])
  assert.deepEqual(computed([...servers, spare]), [82, 81, 81])
})

test('where nobody holds the inputs of a replayed span any more, the span before computes once more', async (t) => {
  const swarm = new TestSwarm(t)
  const servers = [await swarm.serve(0, 2), await swarm.serve(2, 4), await swarm.serve(4, 6)]
  const session = swarm.session()
  let inputs: readonly { drop(): void }[] = []
  session.on('route', () => {
    inputs = session.links.slice(1).map((link) => link.inputs)
  })
  await feed(session, PROMPT)
  await feed(session, [...PROMPT, 4])
  await sleep(COPIES_PULLED_MS)
  for (const each of inputs) each.drop()
  const fork = await session.fork()
  await feed(session, [...PROMPT, 4, 5])
  await swarm.serve(2, 4)
  swarm.kill(servers[1]!)
  await Promise.all([feed(session, [...PROMPT, 4, 5, 6]), feed(fork, [...PROMPT, 4, 7])])
})

test('a session that was cut back is forked as it is now', async (t) => {
  const { servers, session } = await prefilled(t)
  session.position = 20
  const fork = await session.fork()
  await Promise.all([feed(session, [...PROMPT.slice(0, 20), 1]), feed(fork, [...PROMPT.slice(0, 20), 2])])
  await feed(await session.fork(0), [1, 2, 3])
  assert.equal(servers[0]!.computedTokens, 85)
})

test('what cannot be forked is refused and changes nothing', async (t) => {
  const { session } = await prefilled(t)
  const fork = await session.fork()
  await assert.rejects(fork.forkFrom(session, 81), { code: 'SESSION_POSITION' })
  await assert.rejects(fork.forkFrom(fork), { code: 'SESSION_FORK' })
  const stepping = session.step(hidden([1]))
  await assert.rejects(fork.forkFrom(session), { code: 'SESSION_BUSY' })
  await stepping
  const forking = fork.forkFrom(session)
  await assert.rejects(session.step(hidden([1])), { code: 'SESSION_BUSY' })
  assert.throws(
    () => {
      session.position = 3
    },
    { code: 'SESSION_BUSY' },
  )
  await forking
  await feed(fork, [...PROMPT, 1, 2])
})

test('closing a fork gives its rows back and leaves its source alone', async (t) => {
  const { servers, session } = await prefilled(t)
  const fork = await session.fork()
  await fork.close()
  await eventually(() => servers.every(({ rows }) => rows.numSequences === 1))
  await feed(session, [...PROMPT, 1])
  await assert.rejects(fork.forkFrom(session), { code: 'SESSION_CLOSED' })
})
