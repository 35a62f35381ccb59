import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { InferenceSession, Recovery } from '../../../src/client/session/inference-session.ts'
import { RuntimeError } from '../../../src/runtime/errors.ts'
import type { Answer } from '../../../src/swarm/frames/messages.ts'
import { TestSwarm, expected, hidden, tamper, tokensOf } from './servers.ts'

/** Longer than a client waits until it fetches copies. */
const COPIES_PULLED_MS = 350

/** Sends tokens of `sequence` that the session does not hold yet, and checks what comes back. */
async function feed(session: InferenceSession, sequence: readonly number[]): Promise<void> {
  const { position } = session
  assert.deepEqual(tokensOf(await session.step(hidden(sequence.slice(position)))), expected(sequence).slice(position))
  assert.equal(session.position, sequence.length)
}

const sequence = (length: number): number[] => Array.from({ length }, (_, i) => (i * 7) % 101)

function recoveriesOf(session: InferenceSession): Recovery[] {
  const recoveries: Recovery[] = []
  session.on('recovery', (recovery) => recoveries.push(recovery))
  return recoveries
}

test('where the first of three servers dies, the second and third compute nothing again', async (t) => {
  const swarm = new TestSwarm(t)
  const [first, second, third, spare] = [
    await swarm.serve(0, 2),
    await swarm.serve(2, 4),
    await swarm.serve(4, 6),
    await swarm.serve(0, 2),
  ]
  const session = swarm.session()
  const recoveries = recoveriesOf(session)
  await feed(session, sequence(80))
  await feed(session, sequence(81))
  swarm.kill(first)
  await feed(session, sequence(82))
  await feed(session, sequence(83))
  assert.deepEqual(
    [second, third, spare].map(({ computedTokens }) => computedTokens),
    [83, 83, 83],
  )
  assert.deepEqual(
    recoveries.map(({ lost, replayedTokens }) => ({ lost, replayedTokens })),
    [{ lost: [first.id], replayedTokens: 81 }],
  )
  assert.deepEqual([...swarm.banned], [first.id])
})

test('where the last server dies in the middle of a step, only its successor computes that span', async (t) => {
  const swarm = new TestSwarm(t)
  const [first, last, spare] = [await swarm.serve(0, 3), await swarm.serve(3, 6), await swarm.serve(3, 6)]
  const session = swarm.session()
  await feed(session, sequence(5))
  last.beforeStep = () => swarm.kill(last)
  await feed(session, sequence(6))
  assert.deepEqual([first.computedTokens, spare.computedTokens], [6, 6])
})

test('two servers that die at the same moment are both replaced', async (t) => {
  const swarm = new TestSwarm(t)
  const [first, second, third] = [await swarm.serve(0, 2), await swarm.serve(2, 4), await swarm.serve(4, 6)]
  for (const [start, end] of [
    [0, 2],
    [2, 4],
    [4, 6],
  ] as const)
    await swarm.serve(start, end)
  const session = swarm.session()
  const recoveries = recoveriesOf(session)
  await feed(session, sequence(10))
  third.beforeStep = () => swarm.kill(second, third)
  await feed(session, sequence(11))
  await feed(session, sequence(12))
  assert.equal(recoveries.length, 1)
  assert.equal(first.computedTokens, 12, 'it had kept what the second was sent')
})

test('one server is killed while another freezes: their spares carry the session on', async (t) => {
  const swarm = new TestSwarm(t)
  const [first, , third] = [await swarm.serve(0, 2), await swarm.serve(2, 4), await swarm.serve(4, 6)]
  await swarm.serve(0, 2)
  await swarm.serve(4, 6)
  const session = swarm.session()
  const recoveries = recoveriesOf(session)
  await feed(session, sequence(3))
  third.peer.frozen = true
  swarm.kill(first)
  await feed(session, sequence(4))
  assert.deepEqual(
    recoveries.map(({ lost }) => lost),
    [[first.id, third.id]],
  )
  assert.deepEqual(swarm.banned, new Set([first.id, third.id]))
})

test('a replacement that fails while it replays is itself replaced', async (t) => {
  const swarm = new TestSwarm(t)
  const [, last, weak, good] = [
    await swarm.serve(0, 3),
    await swarm.serve(3, 6),
    await swarm.serve(3, 6),
    await swarm.serve(3, 6),
  ]
  weak.beforeStep = () => {
    throw new RuntimeError('RUNTIME_MEMORY', 'no memory')
  }
  const session = swarm.session()
  await feed(session, sequence(3))
  swarm.kill(last)
  await feed(session, sequence(4))
  assert.deepEqual([weak.computedTokens, good.computedTokens, weak.rows.numSequences], [0, 4, 0])
  assert.deepEqual(swarm.banned, new Set([last.id, weak.id]))
})

test('a server that dies in the very first prefill is replaced', async (t) => {
  const swarm = new TestSwarm(t)
  const [first, last] = [await swarm.serve(0, 3), await swarm.serve(3, 6)]
  await swarm.serve(0, 3)
  await swarm.serve(3, 6)
  const session = swarm.session()
  last.beforeStep = () => swarm.kill(first, last)
  await feed(session, sequence(100))
  await feed(session, sequence(101))
})

test('after a cut-back no copy from before it reaches a replay', async (t) => {
  const swarm = new TestSwarm(t)
  const [first, , third, spare] = [
    await swarm.serve(0, 2),
    await swarm.serve(2, 4),
    await swarm.serve(4, 6),
    await swarm.serve(0, 2),
  ]
  await swarm.serve(4, 6)
  const session = swarm.session()
  for (const length of [80, 81, 82, 83]) await feed(session, sequence(length))
  session.position = 80
  spare.beforeStep = async () => {
    spare.beforeStep = () => undefined
    await sleep(COPIES_PULLED_MS)
  }
  swarm.kill(first)
  const other = [...sequence(80), 501]
  await feed(session, other)
  await feed(session, [...other, 502])
  swarm.kill(third)
  await feed(session, [...other, 502, 503])
  await feed(session, [...other, 502, 503, 504])
})

test('copies that are still under way when a session is cut back are not taken for later ones', async (t) => {
  const swarm = new TestSwarm(t)
  const [first, last] = [await swarm.serve(0, 3), await swarm.serve(3, 6)]
  await swarm.serve(3, 6)
  const session = swarm.session()
  await feed(session, [1])
  first.peer.lagMs.set('client', 40)
  await feed(session, sequence(80).with(0, 1))
  // Until they have been asked for, and not come.
  await sleep(270)
  session.position = 40
  const other = [...sequence(40).with(0, 1), 501]
  await feed(session, other)
  await sleep(80)
  swarm.kill(last)
  await feed(session, [...other, 502])
})

test('a step that failed for good can be tried again with other tokens, whatever servers did of it', async (t) => {
  const swarm = new TestSwarm(t)
  const [first, last, spare] = [await swarm.serve(0, 3), await swarm.serve(3, 6), await swarm.serve(3, 6)]
  const session = swarm.session({ recoveryTimeoutMs: 50 })
  await feed(session, sequence(3))
  for (const server of [last, spare])
    server.beforeStep = () => {
      throw new RuntimeError('RUNTIME', 'no luck')
    }
  await assert.rejects(session.step(hidden([44, 45])), { code: 'RUNTIME' })
  assert.equal(session.position, 3)
  assert.deepEqual(first.computed.slice(1), [{ position: 3, tokens: 2 }])
  for (const server of [last, spare]) server.beforeStep = () => undefined
  await feed(session, [...sequence(3), 55, 56])
  swarm.kill(last.rows.numSequences > 0 ? last : spare)
  await feed(session, [...sequence(3), 55, 56, 57])
})

test('a prompt larger than a frame goes in pieces, and so does its replay', async (t) => {
  const swarm = new TestSwarm(t)
  const [only, spare] = [await swarm.serve(0, 6), await swarm.serve(0, 6)]
  const [width, pieceTokens] = [1 << 16, 16]
  const session = swarm.session({ hiddenSize: width })
  const prompt = sequence(4 * pieceTokens + 3)
  const pieces = [0, 16, 32, 48, 64]
  assert.deepEqual(tokensOf(await session.step(hidden(prompt, width))), expected(prompt))
  assert.deepEqual(
    only.computed.map(({ position }) => position),
    pieces,
  )
  swarm.kill(only)
  assert.deepEqual(tokensOf(await session.step(hidden([9], width))), expected([...prompt, 9]).slice(-1))
  assert.deepEqual(
    spare.computed.map(({ position }) => position),
    pieces,
  )
})

test('what a repair fetches of kept outputs comes in messages of a few MiB each', async (t) => {
  const swarm = new TestSwarm(t)
  const [first, last, spare] = [await swarm.serve(0, 3), await swarm.serve(3, 6), await swarm.serve(3, 6)]
  const fetchedRows: number[] = []
  tamper(first, 'inference', (answer: Answer<'inference'>) => {
    if (answer.kind === 'fetched') fetchedRows.push(answer.hidden.shape[0]!)
    return answer
  })
  const [width, pieceTokens] = [1 << 16, 16]
  const session = swarm.session({ hiddenSize: width, pullsCopies: false })
  const prompt = sequence(2 * pieceTokens + 3)
  await session.step(hidden(prompt, width))
  swarm.kill(last)
  assert.deepEqual(tokensOf(await session.step(hidden([9], width))), expected([...prompt, 9]).slice(-1))
  assert.deepEqual(fetchedRows, [pieceTokens, pieceTokens, 4])
  assert.deepEqual([first.computedTokens, spare.computedTokens], [prompt.length + 1, prompt.length + 1])
})

test('a server whose cache does not reach back to a cut is sent its span again, and keeps its place', async (t) => {
  const swarm = new TestSwarm(t)
  const [first, second] = [await swarm.serve(0, 3), await swarm.serve(3, 6)]
  const session = swarm.session()
  const recoveries = recoveriesOf(session)
  await feed(session, sequence(80))
  second.reaches = (position) => position !== 50
  session.position = 50
  await feed(session, [...sequence(50), 3, 4])
  await feed(session, [...sequence(50), 3, 4, 5])
  assert.deepEqual([first.computedTokens, second.computedTokens], [83, 80 + 52 + 1])
  assert.deepEqual([...swarm.banned], [])
  assert.deepEqual(
    recoveries.map(({ lost, replayedTokens }) => ({ lost, replayedTokens })),
    [{ lost: [], replayedTokens: 50 }],
  )
})

test('a replay begins with as many tokens as the session did', async (t) => {
  const swarm = new TestSwarm(t)
  const [, last, spare] = [await swarm.serve(0, 3), await swarm.serve(3, 6), await swarm.serve(3, 6)]
  const session = swarm.session()
  await feed(session, sequence(20))
  await feed(session, sequence(35))
  swarm.kill(last)
  await feed(session, sequence(36))
  assert.deepEqual(spare.computed, [
    { position: 0, tokens: 20 },
    { position: 20, tokens: 16 },
  ])
})

test('a repair takes few ways one after another: what does not wait for each other goes at once', async (t) => {
  const swarm = new TestSwarm(t)
  const [first, second, third] = [await swarm.serve(0, 2), await swarm.serve(2, 4), await swarm.serve(4, 6)]
  const spare = await swarm.serve(2, 4)
  const session = swarm.session({
    watchdog: { lateMs: 5000, answerMs: 5000, minStepMs: 10_000, stepTimeoutMs: 10_000 },
  })
  await feed(session, sequence(10))
  swarm.kill(second)
  const peers = [swarm.client, first.peer, third.peer, spare.peer]
  for (const peer of peers) for (const other of peers) if (other !== peer) peer.lagMs.set(other.id, 50)
  const before = swarm.client.numWays
  await feed(session, sequence(11))
  const numWays = swarm.client.numWays - before
  assert.ok(numWays <= 11, `${numWays} ways one after another`)
})
