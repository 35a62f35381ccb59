import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { InferenceSession } from '../../../src/client/session/inference-session.ts'
import type { WireChoice } from '../../../src/client/remote/routes/wire-dtype.ts'
import type { FrameStream } from '../../../src/swarm/frames/frame-stream.ts'
import type { Answer, StepMessage } from '../../../src/swarm/frames/messages.ts'
import { type Activations, WIRE_DTYPES } from '../../../src/tensor/activations.ts'
import { decodeActivations, encodeActivations, widen } from '../../../src/tensor/travel.ts'
import { type TestServer, TestSwarm, computeBlocks, hidden, tamper, tokensOf } from './servers.ts'

/*
 * The stand-ins for blocks give wholly other numbers after the least change of an input, so that equal outputs say that
 * every span has computed from the very same values.
 */
const WIDTH = 40

/** Longer than a client waits until it fetches copies. */
const COPIES_PULLED_MS = 350

const sequence = (length: number): number[] => Array.from({ length }, (_, i) => ((i * 7_919) % 65_000) / 7)

interface Span {
  readonly start: number
  readonly end: number
  /** Whether its server knows the form in which activations travel. */
  readonly rounds: boolean
}

const THREE: readonly Span[] = [
  { start: 0, end: 2, rounds: true },
  { start: 2, end: 4, rounds: true },
  { start: 4, end: 6, rounds: true },
]

const asFloats = (values: readonly number[]): number[] => [...Float32Array.from(values)]

async function rounded(values: readonly number[], wire: WireChoice): Promise<number[]> {
  if (wire === 'auto') return asFloats(values)
  return tokensOf(await encodeActivations(hidden(values, WIDTH), wire))
}

/** What the spans make of a sequence where the client, and those who know the form, round what they send. */
async function reference(tokens: readonly number[], wire: WireChoice, spans = THREE): Promise<number[]> {
  let states = spans[0]!.rounds ? await rounded(tokens, wire) : asFloats(tokens)
  for (const { start, end, rounds } of spans) {
    const made = computeBlocks(start, end, states)
    states = rounds ? await rounded(made, wire) : asFloats(made)
  }
  return states
}

async function serve(swarm: TestSwarm, { start, end, rounds }: Span): Promise<TestServer> {
  const server = await swarm.serve(start, end)
  if (!rounds) server.wireDTypes = []
  return server
}

function sessionOf(swarm: TestSwarm, wireDType: WireChoice, options: { pullsCopies?: boolean } = {}): InferenceSession {
  return swarm.session({ wireDType, hiddenSize: WIDTH, ...options })
}

/** Sends the tokens that the session does not hold yet, and returns what comes back for them. */
async function feed(session: InferenceSession, tokens: readonly number[]): Promise<number[]> {
  return tokensOf(await session.step(hidden(tokens.slice(session.position), WIDTH)))
}

/** Sends tokens, and checks what comes back against the reference. */
async function check(session: InferenceSession, length: number, wire: WireChoice, spans = THREE): Promise<void> {
  const { position } = session
  const made = await feed(session, sequence(length))
  assert.deepEqual(made, (await reference(sequence(length), wire, spans)).slice(position))
}

/** The dtypes of what is pushed to a server from now on. */
function pushedTo(server: TestServer): { hidden: Activations[] } {
  const seen: { hidden: Activations[] } = { hidden: [] }
  const honest = server.peer.handlers.get('push')!
  server.peer.handlers.set('push', (stream: FrameStream) => {
    const listen = stream.listen.bind(stream)
    stream.listen = (listener) =>
      listen({
        ...listener,
        onEnd: (error) => listener.onEnd(error),
        onError: (error) => listener.onError(error),
        onMessage: (message) => {
          if (message.kind === 'step') seen.hidden.push((message as StepMessage).hidden)
          return listener.onMessage(message)
        },
      })
    return honest(stream)
  })
  return seen
}

for (const wire of ['auto', 'float32', 'bfloat16', 'int8'] as const) {
  for (const pullsCopies of [true, false]) {
    const how = pullsCopies ? 'from copies' : 'without copies'

    test(`as ${wire}, all servers that die are replayed ${how} from the very values that they were sent`, async (t) => {
      const swarm = new TestSwarm(t)
      const servers: TestServer[] = []
      for (const span of THREE) servers.push(await serve(swarm, span))
      for (const span of THREE) await serve(swarm, span)
      const session = sessionOf(swarm, wire, { pullsCopies })
      await check(session, 70, wire)
      if (pullsCopies) await sleep(COPIES_PULLED_MS)
      await check(session, 71, wire)
      swarm.kill(servers[1]!)
      await check(session, 74, wire)
      swarm.kill(servers[0]!, servers[2]!)
      await check(session, 75, wire)
      session.position = 60
      await check(session, 75, wire)
    })
  }
}

test('a server that does not know the form is given floats and gives its own dtype, wherever it is', async (t) => {
  for (const old of [0, 1, 2]) {
    const spans = THREE.map((span, i) => ({ ...span, rounds: i !== old }))
    const swarm = new TestSwarm(t)
    const servers: TestServer[] = []
    for (const span of spans) servers.push(await serve(swarm, span))
    for (const span of spans) await serve(swarm, span)
    const pushed = servers.map(pushedTo)
    const session = sessionOf(swarm, 'int8')
    await check(session, 70, 'int8', spans)
    await sleep(COPIES_PULLED_MS)
    const dtypes = pushed.map(({ hidden: states }) => [...new Set(states.map(({ dtype }) => dtype))])
    const expected = spans.map(({ rounds }, i) =>
      i === 0 ? [] : [rounds && i - 1 !== old ? 'int8-blocks' : 'float32'],
    )
    assert.deepEqual(dtypes, expected)
    for (const server of servers) {
      swarm.kill(server)
      await check(session, session.position + 2, 'int8', spans)
    }
  }
})

test('a span whose inputs came from servers of both kinds is replayed from the values of both', async (t) => {
  const made: number[][] = []
  for (const isKilled of [false, true]) {
    const swarm = new TestSwarm(t)
    const [old, , last] = [
      await serve(swarm, { start: 0, end: 3, rounds: false }),
      await serve(swarm, { start: 0, end: 3, rounds: true }),
      await serve(swarm, { start: 3, end: 6, rounds: true }),
      await serve(swarm, { start: 3, end: 6, rounds: true }),
    ]
    swarm.banned.add(swarm.servers[1]!.id)
    const session = sessionOf(swarm, 'int8')
    const changes: boolean[] = []
    session.on('recovery', ({ arithmeticChanged }) => changes.push(arithmeticChanged))
    await feed(session, sequence(100))
    await sleep(COPIES_PULLED_MS)
    swarm.banned.clear()
    swarm.kill(old)
    await feed(session, sequence(120))
    await sleep(COPIES_PULLED_MS)
    assert.deepEqual(changes, [true], 'what follows is rounded, and so far was not')
    if (isKilled) swarm.kill(last)
    made.push(await feed(session, sequence(130)))
  }
  assert.deepEqual(made[1], made[0])
})

test('what a fork is made of keeps its values, and a session of another form is replayed, not copied', async (t) => {
  const swarm = new TestSwarm(t)
  const servers: TestServer[] = []
  for (const span of THREE) servers.push(await serve(swarm, span))
  const session = sessionOf(swarm, 'int8')
  await check(session, 70, 'int8')
  const fork = await session.fork(50)
  await check(fork, 60, 'int8')
  assert.deepEqual(
    servers.map(({ numForks }) => numForks),
    [1, 1, 1],
  )
  const other = sessionOf(swarm, 'bfloat16')
  await feed(other, sequence(3))
  await other.forkFrom(session, 40)
  assert.deepEqual(
    servers.map(({ numForks }) => numForks),
    [1, 1, 1],
  )
  assert.equal((await feed(other, sequence(45))).length, 5)
})

type Reply = Answer<'inference'>

/** Packed rows with a block whose scale, or whose bytes, no finite values have. */
async function spoilt(states: Activations, scale: number, code = 127): Promise<Activations> {
  const packed = await encodeActivations(widen(states), 'int8')
  const data = packed.data.slice()
  data.set([scale & 0xff, scale >>> 8, code])
  return { ...packed, data }
}

const LIES: Readonly<Record<string, (states: Activations) => Promise<Activations> | Activations>> = {
  'in its own dtype': (states) => widen(states),
  'in a form that was not agreed on': (states) => encodeActivations(widen(states), 'bfloat16'),
  'packed, in place of fewer tokens': (states) => encodeActivations(hidden(tokensOf(states).slice(1), WIDTH), 'int8'),
  'with a scale that is NaN': (states) => spoilt(states, 0x7fc0),
  'with a scale that is infinite': (states) => spoilt(states, 0x7f80),
  'with a negative scale': (states) => spoilt(states, 0xbf80),
  'with a scale too large for its bytes': (states) => spoilt(states, 0x7f7f),
  'with a byte of -128': (states) => spoilt(states, 0x3f80, 0x80),
}

for (const [what, lie] of Object.entries(LIES)) {
  test(`a server that answers ${what} loses its place, and the text goes on from the same values`, async (t) => {
    const swarm = new TestSwarm(t)
    const [first, liar] = [await serve(swarm, THREE[0]!), await swarm.serve(2, 6)]
    const spare = await swarm.serve(2, 6)
    const spans = [THREE[0]!, { start: 2, end: 6, rounds: true }]
    let lies = false
    tamper(liar, 'inference', async (answer: Reply) =>
      lies && answer.kind === 'output' ? { ...answer, hidden: await lie(answer.hidden) } : answer,
    )
    const session = sessionOf(swarm, 'int8')
    await check(session, 40, 'int8', spans)
    lies = true
    await check(session, 42, 'int8', spans)
    await check(session, 43, 'int8', spans)
    assert.deepEqual([...swarm.banned], [liar.id])
    assert.deepEqual([first.computedTokens, spare.computedTokens], [43, 43])
  })
}

test('copies that no finite values pack to cost the server that hands them out its place', async (t) => {
  const swarm = new TestSwarm(t)
  const [liar] = [await serve(swarm, THREE[0]!), await swarm.serve(2, 6), await serve(swarm, THREE[0]!)]
  const spans = [THREE[0]!, { start: 2, end: 6, rounds: true }]
  tamper(liar!, 'inference', async (answer: Reply) =>
    answer.kind === 'fetched' ? { ...answer, hidden: await spoilt(answer.hidden, 0x7fc0) } : answer,
  )
  const session = sessionOf(swarm, 'int8')
  await check(session, 40, 'int8', spans)
  await sleep(COPIES_PULLED_MS)
  await check(session, 42, 'int8', spans)
  await sleep(COPIES_PULLED_MS)
  assert.deepEqual([...swarm.banned], [liar!.id])
})

test('values that a form cannot hold are a refusal with a cure, wherever they come up', async (t) => {
  const swarm = new TestSwarm(t)
  const [server] = [await swarm.serve(0, 6)]
  const own = sessionOf(swarm, 'float16')
  await assert.rejects(own.step(hidden([70_000], WIDTH)), { code: 'WIRE_DTYPE', message: /--wire-dtype bfloat16/ })
  server.makes = (states) =>
    hidden(
      tokensOf(states).map(() => 70_000),
      states.shape[1],
    )
  const made = sessionOf(swarm, 'float16')
  await assert.rejects(made.step(hidden([1], WIDTH)), { code: 'WIRE_DTYPE', message: /--wire-dtype bfloat16/ })
})

test('a server that does not know a form after all refuses it by name, and another one is taken', async (t) => {
  const swarm = new TestSwarm(t)
  const [late, spare] = [await swarm.serve(0, 6), await swarm.serve(0, 6)]
  late.wireDTypes = [...WIRE_DTYPES]
  const honest = late.peer.handlers.get('inference')!
  late.peer.handlers.set('inference', (stream: FrameStream) => {
    const receive = stream.receive.bind(stream)
    stream.receive = async (options) => {
      const message = await receive(options)
      return message?.kind === 'open' ? Object.assign(message, { wireDType: 'int3' }) : message
    }
    return honest(stream)
  })
  const session = sessionOf(swarm, 'int8')
  await check(session, 10, 'int8', [{ start: 0, end: 6, rounds: true }])
  assert.deepEqual([late.computedTokens, spare.computedTokens], [0, 10])
})

test('packed rows are unpacked as they were rounded', async () => {
  const states = hidden(sequence(5), WIDTH)
  const packed = await encodeActivations(states, 'int8')
  assert.deepEqual(widen(packed), await decodeActivations(packed, 'float32'))
})
