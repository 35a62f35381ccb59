import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { InferenceSession, Recovery } from '../../../src/client/session/inference-session.ts'
import { PetalsError } from '../../../src/base/errors.ts'
import type { RequestStream } from '../../../src/swarm/frames/frame-stream.ts'
import type { Answer, AnyMessage } from '../../../src/swarm/frames/messages.ts'
import { newTrace } from '../../../src/swarm/node/trace.ts'
import { convert } from '../../../src/tensor/convert.ts'
import { type Tensor, fromFloat32 } from '../../../src/tensor/tensor.ts'
import { type TestServer, TestSwarm, expected, hidden, tamper, tokensOf } from './servers.ts'

type Reply = Answer<'inference'>

const sequence = (length: number): number[] => Array.from({ length }, (_, i) => (i * 7) % 101)

/** Longer than a client waits until it fetches copies. */
const COPIES_PULLED_MS = 350

/** Sends the tokens that the session does not hold yet, and checks what comes back. */
async function feed(session: InferenceSession, tokens: readonly number[]): Promise<void> {
  const { position } = session
  assert.deepEqual(tokensOf(await session.step(hidden(tokens.slice(position)))), expected(tokens).slice(position))
}

function recoveriesOf(session: InferenceSession): Recovery[] {
  const recoveries: Recovery[] = []
  session.on('recovery', (recovery) => recoveries.push(recovery))
  return recoveries
}

const NAN = (rows: number): Tensor => fromFloat32(new Float32Array(rows).fill(Number.NaN), [rows, 1])

test('a server that computes for ever, and says so, is given up when the time of the step is over', async (t) => {
  const swarm = new TestSwarm(t)
  const [first, hung, last, spare] = [
    await swarm.serve(0, 2),
    await swarm.serve(2, 4),
    await swarm.serve(4, 6),
    await swarm.serve(2, 4),
  ]
  const session = swarm.session()
  const recoveries = recoveriesOf(session)
  await feed(session, sequence(5))
  hung.beforeStep = () => new Promise(() => undefined)
  await feed(session, sequence(6))
  await feed(session, sequence(7))
  assert.deepEqual(
    recoveries.map(({ lost }) => lost),
    [[hung.id]],
  )
  assert.ok(recoveries[0]!.seconds > 0.9 && recoveries[0]!.seconds < 4, `${recoveries[0]!.seconds} s`)
  assert.deepEqual([...swarm.banned], [hung.id])
  assert.deepEqual([first.computedTokens, last.computedTokens, spare.computedTokens], [7, 7, 7])
})

test('so is one that hangs in a replay, and one that only says that it is busy', async (t) => {
  const swarm = new TestSwarm(t)
  const [, last, hung, liar, spare] = [
    await swarm.serve(0, 3),
    await swarm.serve(3, 6),
    await swarm.serve(3, 6),
    await swarm.serve(3, 6),
    await swarm.serve(3, 6),
  ]
  hung.beforeStep = () => new Promise(() => undefined)
  tamper(liar, 'inference', (answer: Reply) => (answer.kind === 'output' ? undefined : answer))
  tamper(liar, 'control', (answer: Answer<'control'>) => ({
    ...answer,
    received: 2 ** 32 - 1,
    completed: 0,
    arrived: 7,
  }))
  const session = swarm.session({ recoveryTimeoutMs: 20_000 })
  await feed(session, sequence(5))
  swarm.kill(last)
  await feed(session, sequence(6))
  assert.deepEqual(swarm.banned, new Set([last.id, hung.id, liar.id]))
  assert.equal(spare.computedTokens, 6)
})

test('what gets lost between the same two servers again is carried by the client, and bans nobody', async (t) => {
  const swarm = new TestSwarm(t)
  const [first, last] = [await swarm.serve(0, 3), await swarm.serve(3, 6)]
  const session = swarm.session()
  const recoveries = recoveriesOf(session)
  await feed(session, sequence(5))
  tamperPushes(first, last)
  for (const length of [6, 7, 8, 9]) await feed(session, sequence(length))
  assert.equal(recoveries.length, 2)
  assert.deepEqual([...swarm.banned], [])
  assert.deepEqual([first.computedTokens, last.computedTokens], [9, 9])
})

/** Steps that one server pushes to another never arrive; opening the stream does. */
function tamperPushes(from: TestServer, to: TestServer): void {
  const honest = to.peer.handlers.get('push')!
  to.peer.handlers.set('push', async (stream) => {
    if (stream.remotePeer !== from.id) return honest(stream)
    await stream.receive()
    await stream.send({ kind: 'opened' } as never)
    await stream.closed
  })
  for (const stream of from.peer.streams) if (stream.remotePeer === to.id) stream.send = async () => undefined
}

const MALFORMED: Readonly<Record<string, (answer: Reply) => unknown>> = {
  'more rows than asked for': (answer) =>
    answer.kind === 'output' ? { ...answer, hidden: hidden([...tokensOf(answer.hidden), 1]) } : answer,
  'hidden states of another width': (answer) =>
    answer.kind === 'output' ? { ...answer, hidden: hidden(tokensOf(answer.hidden), 2) } : answer,
  'another dtype than its record has': (answer) =>
    answer.kind === 'output' ? { ...answer, hidden: convert(answer.hidden as Tensor, 'bfloat16') } : answer,
  NaN: (answer) => (answer.kind === 'output' ? { ...answer, hidden: NAN(answer.hidden.shape[0]!) } : answer),
}

for (const [what, change] of Object.entries(MALFORMED)) {
  test(`a server that answers with ${what} is replaced, and only that one`, async (t) => {
    const swarm = new TestSwarm(t)
    const [, liar, spare] = [await swarm.serve(0, 3), await swarm.serve(3, 6), await swarm.serve(3, 6)]
    let lies = false
    tamper(liar, 'inference', (answer: Reply) => (lies ? change(answer) : answer))
    const session = swarm.session()
    await feed(session, sequence(3))
    lies = true
    await feed(session, sequence(4))
    await feed(session, sequence(5))
    assert.deepEqual([...swarm.banned], [liar.id])
    assert.equal(spare.computedTokens, 5)
  })
}

const IN_REPAIRS: typeof MALFORMED = {
  'says that it holds more than it was sent': (answer) =>
    answer.kind === 'resumed' ? { ...answer, position: 900 } : answer,
  'hands out more outputs than it was asked for': (answer) =>
    answer.kind === 'fetched' ? { ...answer, hidden: hidden([...tokensOf(answer.hidden), 1]) } : answer,
  'hands out NaN as its outputs': (answer) =>
    answer.kind === 'fetched' ? { ...answer, hidden: NAN(answer.hidden.shape[0]!) } : answer,
  'answers a replayed step with too many rows': (answer) =>
    answer.kind === 'output' ? { ...answer, hidden: hidden([...tokensOf(answer.hidden), 1, 2]) } : answer,
}

for (const [what, change] of Object.entries(IN_REPAIRS)) {
  test(`a server that ${what} loses its place, and the repair goes on`, async (t) => {
    const swarm = new TestSwarm(t)
    const [first, last] = [await swarm.serve(0, 3), await swarm.serve(3, 6)]
    const [other, liar] = [await swarm.serve(0, 3), await swarm.serve(3, 6)]
    await swarm.serve(3, 6)
    tamper(first, 'inference', change)
    tamper(liar, 'inference', change)
    const session = swarm.session()
    await feed(session, sequence(70))
    swarm.kill(last)
    await feed(session, sequence(71))
    await feed(session, sequence(72))
    assert.ok(swarm.banned.has(first.id) || swarm.banned.has(liar.id), [...swarm.banned].join())
    assert.ok(!swarm.banned.has(other.id))
  })
}

test('copies of positions that were never computed cost the server its place', async (t) => {
  const swarm = new TestSwarm(t)
  const [liar, last] = [await swarm.serve(0, 3), await swarm.serve(3, 6)]
  await swarm.serve(0, 3)
  tamper(liar, 'inference', (answer: Reply) => (answer.kind === 'fetched' ? { ...answer, position: 5000 } : answer))
  const session = swarm.session()
  await feed(session, sequence(80))
  await sleep(COPIES_PULLED_MS)
  await feed(session, sequence(81))
  assert.deepEqual([...swarm.banned], [liar.id])
  assert.equal(last.computedTokens, 81)
})

test('NaN that one server pushes to the next is blamed on the one that made it', async (t) => {
  const swarm = new TestSwarm(t)
  const [bad, last, spare] = [await swarm.serve(0, 3), await swarm.serve(3, 6), await swarm.serve(0, 3)]
  const session = swarm.session()
  await feed(session, sequence(3))
  bad.makes = (states) => fromFloat32(new Float32Array(states.shape[0]!).fill(Number.NaN), states.shape)
  await feed(session, sequence(4))
  assert.deepEqual([...swarm.banned], [bad.id])
  assert.deepEqual([last.computedTokens, spare.computedTokens], [4, 4])
})

/** A message whose hidden states, if it has any, are twice as wide. */
const widened = <M extends AnyMessage>(message: M): M =>
  'hidden' in message ? { ...message, hidden: hidden(tokensOf(message.hidden as Tensor), 2) } : message

test('who pushes hidden states of another width is blamed once it sends them to the client, too', async (t) => {
  const swarm = new TestSwarm(t)
  const [bad, last, spare] = [await swarm.serve(0, 3), await swarm.serve(3, 6), await swarm.serve(0, 3)]
  let lies = false
  tamper(bad, 'inference', (answer: Reply) => (lies ? widened(answer) : answer))
  const session = swarm.session()
  await feed(session, sequence(3))
  const pushes = [...bad.peer.streams].find(({ remotePeer }) => remotePeer === last.id)!
  const push = pushes.send.bind(pushes)
  pushes.send = (message) => push(widened(message))
  await feed(session, sequence(4))
  await feed(session, sequence(5))
  assert.deepEqual([...swarm.banned], [], 'the client carries between the two, and all is right')
  lies = true
  await feed(session, sequence(6))
  assert.deepEqual([...swarm.banned], [bad.id])
  assert.deepEqual([last.computedTokens, spare.computedTokens], [6, 6])
})

test('a row too many that one server pushes to the next is blamed on the one that made it', async (t) => {
  const swarm = new TestSwarm(t)
  const [bad] = [await swarm.serve(0, 2), await swarm.serve(2, 4), await swarm.serve(4, 6)]
  await swarm.serve(0, 2)
  const session = swarm.session()
  await feed(session, sequence(3))
  bad.makes = () => hidden([0, 0])
  await feed(session, sequence(4))
  await feed(session, sequence(5))
  assert.deepEqual([...swarm.banned], [bad.id])
})

for (const code of ['TENSOR_NONFINITE', 'TENSOR_SHAPE']) {
  test(`a server that says falsely of what it was sent: ${code}, is itself blamed`, async (t) => {
    const swarm = new TestSwarm(t)
    const [first, liar, spare] = [await swarm.serve(0, 3), await swarm.serve(3, 6), await swarm.serve(3, 6)]
    let lies = false
    tamper(liar, 'inference', (answer: Reply) => {
      if (!lies || answer.kind !== 'output') return answer
      const { epoch, step } = answer
      return { kind: 'broken', epoch, step, code, message: 'not so' }
    })
    const session = swarm.session()
    await feed(session, sequence(3))
    lies = true
    await feed(session, sequence(4))
    await feed(session, sequence(5))
    assert.deepEqual([...swarm.banned], [liar.id])
    assert.deepEqual([first.computedTokens, spare.computedTokens], [5, 5])
  })
}

test('a session that goes on in another arithmetic class says so', async (t) => {
  const swarm = new TestSwarm(t)
  const [first, last, other] = [await swarm.serve(0, 3), await swarm.serve(3, 6), await swarm.serve(3, 6)]
  other.device = 'cuda'
  const session = swarm.session()
  const recoveries = recoveriesOf(session)
  await feed(session, sequence(3))
  const sameAgain = await swarm.serve(0, 3)
  swarm.kill(first)
  await feed(session, sequence(4))
  assert.equal(sameAgain.computedTokens, 4)
  swarm.kill(last)
  await feed(session, sequence(5))
  assert.deepEqual(
    recoveries.map(({ arithmeticChanged }) => arithmeticChanged),
    [false, true],
  )
})

test('what no other server would cure bans nobody', async (t) => {
  const swarm = new TestSwarm(t)
  const [refusing, spare] = [await swarm.serve(0, 6), await swarm.serve(0, 6)]
  const session = swarm.session()
  refusing.beforeStep = () => {
    throw new PetalsError('SESSION_OVERFLOW', 'not here')
  }
  await feed(session, sequence(3))
  assert.deepEqual([[...swarm.banned], spare.computedTokens], [[], 3])
  await assert.rejects(session.step(NAN(1)), { code: 'TENSOR_NONFINITE' })
  const width = 1 << 20
  const prompts = fromFloat32(new Float32Array(6 * 3 * width), [6, 3, width])
  const large = swarm.session({ hiddenSize: width, prompts, recoveryTimeoutMs: 200 })
  await assert.rejects(large.step(hidden([1], width)), { code: 'SWARM_TOO_LARGE' })
  assert.deepEqual([...swarm.banned], [])
})

async function openRaw(swarm: TestSwarm, server: TestServer): Promise<RequestStream<'inference'>> {
  const stream = await swarm.network.open(swarm.client, server.id, 'inference')
  const open = { modelKey: 'test', start: 3, end: 6, maxLength: 100, allocTimeoutMs: 0, trace: newTrace() }
  await stream.send({ kind: 'open', sessionId: '0'.repeat(32), ...open })
  assert.equal((await stream.receive())?.kind, 'opened')
  return stream
}

test('only the peer that the client names may push, though others know the id, until it names another', async (t) => {
  const swarm = new TestSwarm(t)
  const server = await swarm.serve(3, 6)
  const stream = await openRaw(swarm, server)
  const push = async (id: string): Promise<RequestStream<'push'>> => {
    const opened = await swarm.network.open(swarm.network.join(id), server.id, 'push')
    await opened.send({ kind: 'open', sessionId: '0'.repeat(32) })
    return opened
  }
  const stranger = await push('stranger')
  const first = await push('first')
  await stream.send({ kind: 'accept', request: 1, peerId: 'first' })
  assert.equal((await stream.receive())?.kind, 'accepted')
  assert.equal((await first.receive())?.kind, 'opened')
  const step = { kind: 'step', epoch: 1, step: 1, position: 0, push: true, hidden: hidden([1]) } as const
  await first.send(step)
  assert.equal((await stream.receive())?.kind, 'output')
  await assert.rejects(stranger.receive(), { code: 'SESSION_SOURCE' })
  const second = await push('second')
  await stream.send({ kind: 'accept', request: 2, peerId: 'second' })
  assert.equal((await second.receive())?.kind, 'opened')
  await first.closed
  await second.send({ ...step, step: 2, position: 1 })
  const answers = [await stream.receive(), await stream.receive()]
  assert.deepEqual(answers.map((answer) => answer?.kind).toSorted(), ['accepted', 'output'])
})

test('what a session does is told to its own client only', async (t) => {
  const swarm = new TestSwarm(t)
  const server = await swarm.serve(3, 6)
  await openRaw(swarm, server)
  const ask = async (id: string): Promise<unknown> => {
    const control = await swarm.network.open(
      id === 'client' ? swarm.client : swarm.network.join(id),
      server.id,
      'control',
    )
    await control.send({ kind: 'status', request: 1, sessionId: '0'.repeat(32) })
    return control.receive()
  }
  const { arrived, ...answer } = (await ask('client')) as Answer<'control'>
  assert.deepEqual(answer, {
    kind: 'status',
    request: 1,
    epoch: 0,
    position: 0,
    received: 0,
    completed: 0,
    pushing: 0,
    queueMs: 0,
  })
  assert.ok(arrived > 50)
  await assert.rejects(ask('stranger'), { code: 'SESSION_UNKNOWN' })
})
