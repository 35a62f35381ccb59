import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../../eventually.ts'
import { describe, it } from 'node:test'
import { PetalsError } from '../../../src/base/errors.ts'
import { PROCESS_PASS_MEMORY } from '../../../src/client/pass/pass-memory.ts'
import type { PassOptions } from '../../../src/client/pass/pass-plan.ts'
import { backwardPass, forwardPass, recordedPass } from '../../../src/client/pass/remote-pass.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../../../src/tensor/tensor.ts'
import { NUM_BLOCKS, type ToyServer, ToySwarm, WIDTH, backward, batch, forward } from './swarm.ts'

const ALL = { start: 0, end: NUM_BLOCKS, recoveryTimeoutMs: 2000 } satisfies PassOptions

function assertSame(actual: Tensor | undefined, expected: Tensor | undefined): void {
  assert.deepEqual(actual?.shape, expected?.shape)
  assert.deepEqual(actual && asFloat32(actual), expected && asFloat32(expected))
}

/** Exact powers of two, so that sums over rows are exact in any order. */
function prompts(positions: number): Tensor {
  const values = Float32Array.from({ length: NUM_BLOCKS * positions * WIDTH }, (_, i) => 2 ** (i % 4))
  return fromFloat32(values, [NUM_BLOCKS, positions, WIDTH])
}

function shaped(tensor: Tensor, shape: readonly number[]): Tensor {
  return { ...tensor, shape }
}

function spoilt(tensor: Tensor, value: number): Tensor {
  const values = asFloat32(tensor).slice()
  values[3] = value
  return fromFloat32(values, tensor.shape)
}

/** Has one server compute a piece in the time in which another computes four, however busy the machine is. */
function makeSlower(slow: ToyServer, fast: ToyServer, numPieces: number): void {
  fast.pieceMs = 5
  slow.before = async () => {
    const until = 4 * (slow.computed.length + 1)
    // In the end all that is left is with the slow one.
    const isLast = (): boolean => fast.computed.length + slow.computed.length >= numPieces - 2
    while (fast.computed.length < until && !isLast()) await sleep(1)
  }
}

describe('a pass over a batch', () => {
  it('goes in pieces of whole sequences, and comes back in order', async (t) => {
    const cases = [
      { rows: 1, tokens: 3, pieces: [1] },
      { rows: 2, tokens: 2000, pieces: [1, 1] },
      { rows: 7, tokens: 64, pieces: [7] },
      { rows: 9, tokens: 256, pieces: [2, 2, 2, 3] },
      { rows: 5, tokens: 1024, pieces: [1, 1, 1, 1, 1] },
      { rows: 40, tokens: 128, pieces: [8, 8, 8, 8, 8] },
    ]
    for (const { rows, tokens, pieces } of cases) {
      const swarm = new ToySwarm(t)
      const server = swarm.serve(0, NUM_BLOCKS)
      // The later a piece was sent the sooner it is done.
      server.before = () => sleep(20 - 2 * server.computed.length)
      const hidden = batch(rows, tokens)
      assertSame(await forwardPass(swarm, hidden, ALL), forward(hidden, 0, NUM_BLOCKS))
      assert.deepEqual(
        server.computed.map(({ rows }) => rows).toSorted((a, b) => a - b),
        pieces,
      )
    }
  })

  it('refuses what no server could take, before anything is sent', async (t) => {
    const swarm = new ToySwarm(t)
    const server = swarm.serve(0, NUM_BLOCKS)
    const wide = fromFloat32(new Float32Array(36 << 20), [1, 18 << 20, WIDTH])
    await assert.rejects(recordedPass(swarm, wide, ALL), {
      code: 'SWARM_TOO_LARGE',
      message: /one sequence of 18874368/,
    })
    const bad = fromFloat32(Float32Array.of(1, Number.NaN), [1, 1, WIDTH])
    await assert.rejects(forwardPass(swarm, bad, ALL), { code: 'TENSOR_NONFINITE' })
    const pass = await recordedPass(swarm, batch(2, 3), ALL)
    const [numComputed] = [server.computed.length]
    await assert.rejects(pass.backward(batch(3, 2)), { code: 'TENSOR_SHAPE' })
    await assert.rejects(pass.backward(fromFloat32(new Float32Array(12).fill(Infinity), [2, 3, WIDTH])), {
      code: 'TENSOR_NONFINITE',
    })
    assert.equal(server.computed.length, numComputed)
    pass.release()
  })

  it('is shared out by what servers take, whatever they announce, two pieces at a time', async (t) => {
    const swarm = new ToySwarm(t)
    // Both announce the same rate.
    const [fast, slow] = [swarm.serve(0, NUM_BLOCKS), swarm.serve(0, NUM_BLOCKS)]
    makeSlower(slow, fast, 40)
    const hidden = batch(40, 1024)
    using pass = await recordedPass(swarm, hidden, ALL)
    assertSame(pass.output, forward(hidden, 0, NUM_BLOCKS))
    // 4 to 1 would be 32 and 8.
    const share = slow.rows('forward')
    assert.ok(share >= 4 && share <= 14, `the slow one computed ${share} of 40`)
    assert.deepEqual([fast.mostAtOnce, slow.mostAtOnce], [2, 2])
    assert.equal(swarm.lanes.numPieces, 0)
    assert.equal(
      pass.route.reduce((sum, { rows }) => sum + rows, 0),
      40,
    )
  })

  it('goes first to whoever announces more', async (t) => {
    const swarm = new ToySwarm(t)
    const [slow, fast] = [
      swarm.serve(0, NUM_BLOCKS, { prefillRate: 1e4 }),
      swarm.serve(0, NUM_BLOCKS, { prefillRate: 4e4 }),
    ]
    makeSlower(slow, fast, 20)
    await forwardPass(swarm, batch(20, 1024), ALL)
    assert.ok(fast.rows('forward') >= 13, `the fast one computed ${fast.rows('forward')} of 20`)
    assert.ok(slow.rows('forward') >= 2)
  })

  it('gives the gradients of its input and of deep prompts over mixed spans, as often as it is asked', async (t) => {
    const swarm = new ToySwarm(t)
    for (const [start, end] of [
      [0, 4],
      [0, 2],
      [2, 6],
      [4, 6],
    ] as const)
      swarm.serve(start, end).pieceMs = 2
    const [hidden, gradient] = [batch(12, 256), batch(12, 256, 5)]
    const given = prompts(3)
    using pass = await recordedPass(swarm, hidden, { ...ALL, prompts: given })
    assertSame(pass.output, forward(hidden, 0, NUM_BLOCKS, given))
    const expected = backward(gradient, 0, NUM_BLOCKS, 3)
    for (let time = 0; time < 2; time++) {
      const found = await pass.backward(gradient)
      assertSame(found.hidden, expected.hidden)
      assertSame(found.prompts, expected.prompts)
      assert.equal(found.adapter, undefined)
    }
    assert.ok(new Set(pass.route.map(({ peerId }) => peerId)).size >= 3)
  })

  it('takes one pair of prompts or none, and some of the blocks, cut where it is told', async (t) => {
    const swarm = new ToySwarm(t)
    const server = swarm.serve(0, NUM_BLOCKS)
    const [hidden, gradient] = [batch(2, 8), batch(2, 8, 3)]
    using pass = await recordedPass(swarm, hidden, { ...ALL, start: 1, end: 5, cuts: [0, 2, 3, 9] })
    assertSame(pass.output, forward(hidden, 1, 5))
    const { hidden: found, prompts } = await pass.backward(gradient)
    assertSame(found, backward(gradient, 1, 5, undefined).hidden)
    assert.equal(prompts, undefined)
    const spans = server.computed.map(({ kind, start, end }) => `${kind} ${start}:${end}`)
    assert.deepEqual(spans, [
      'forward 1:2',
      'forward 2:3',
      'forward 3:5',
      'backward 3:5',
      'backward 2:3',
      'backward 1:2',
    ])
  })

  it('in one call computes forward only what it needs', async (t) => {
    const swarm = new ToySwarm(t)
    const [first, second] = [swarm.serve(0, 3), swarm.serve(3, 6)]
    const [hidden, gradient] = [batch(3, 8), batch(3, 8, 3)]
    const found = await backwardPass(swarm, hidden, gradient, ALL)
    assertSame(found.hidden, backward(gradient, 0, NUM_BLOCKS, undefined).hidden)
    assert.deepEqual(
      [first, second].map(({ computed }) => computed.map(({ kind }) => kind)),
      [['forward', 'backward'], ['backward']],
    )
  })

  it('never mixes weights', async (t) => {
    const swarm = new ToySwarm(t)
    const own = swarm.serve(0, 6)
    using pass = await recordedPass(swarm, batch(4, 8), ALL)
    const other = swarm.serve(0, 6, { blockDigests: Array.from({ length: 6 }, (_, i) => `other ${i}`) })
    swarm.kill(own)
    await assert.rejects(pass.backward(batch(4, 8)), { code: 'NO_ROUTE' })
    assert.deepEqual(other.computed, [])
    swarm.serve(0, 6)
    assertSame((await pass.backward(batch(4, 8))).hidden, backward(batch(4, 8), 0, 6, undefined).hidden)
  })

  it('keeps its inputs until it is released, and counts them', async (t) => {
    const before = PROCESS_PASS_MEMORY.bytes
    const swarm = new ToySwarm(t)
    swarm.serve(0, 3)
    swarm.serve(3, 6)
    const hidden = batch(4, 8)
    const pass = await recordedPass(swarm, hidden, ALL)
    assert.equal(pass.bytes, 2 * hidden.data.byteLength)
    assert.equal(PROCESS_PASS_MEMORY.bytes - before, pass.bytes)
    await pass.backward(hidden)
    assert.equal(PROCESS_PASS_MEMORY.bytes - before, pass.bytes)
    const late = pass.backward(hidden)
    pass.release()
    pass.release()
    assertSame((await late).hidden, backward(hidden, 0, 6, undefined).hidden)
    assert.deepEqual([pass.bytes, PROCESS_PASS_MEMORY.bytes - before], [0, 0])
    await assert.rejects(pass.backward(hidden), { code: 'USAGE' })
  })
})

describe('a pass whose servers fail', () => {
  it('goes on through others: between forward and backward, and in the middle of either', async (t) => {
    const [hidden, gradient, given] = [batch(8, 256), batch(8, 256, 9), prompts(2)]
    const expected = backward(gradient, 0, NUM_BLOCKS, 2)
    for (const when of ['between', 'forward', 'backward'] as const) {
      const swarm = new ToySwarm(t)
      const [first, victim] = [swarm.serve(0, 3), swarm.serve(3, 6)]
      // Those that replace it share its blocks differently.
      const spares = [swarm.serve(3, 5, { prefillRate: 1 }), swarm.serve(4, 6, { prefillRate: 1 })]
      let pieces = 0
      victim.before = (kind) => {
        pieces += kind === when ? 1 : 0
        if (pieces === 2) swarm.kill(victim)
      }
      using pass = await recordedPass(swarm, hidden, { ...ALL, prompts: given })
      assertSame(pass.output, forward(hidden, 0, NUM_BLOCKS, given))
      if (when === 'between') swarm.kill(victim)
      const numForward = first.rows('forward')
      const found = await pass.backward(gradient)
      assertSame(found.hidden, expected.hidden)
      assertSame(found.prompts, expected.prompts)
      assert.equal(first.rows('forward'), numForward, 'nothing is computed again but the lost span')
      assert.equal(first.rows('backward'), 8)
      assert.ok(spares.every((spare) => spare.rows('backward') > 0))
      // Asked again, it goes the new way at once, but for the piece that the victim did before it went.
      const numSpare = spares[0]!.rows('forward')
      assertSame((await pass.backward(gradient)).hidden, expected.hidden)
      assert.equal(spares[0]!.rows('forward') - numSpare, when === 'backward' ? 2 : 0)
    }
  })

  it('waits for a server to come back, and gives up in the end', async (t) => {
    const swarm = new ToySwarm(t)
    const server = swarm.serve(0, 6)
    let failures = 0
    server.before = () => {
      if (failures++ < 2) throw new PetalsError('ENGINE_LOST', 'the engine is lost')
    }
    assertSame(await forwardPass(swarm, batch(1, 2), ALL), forward(batch(1, 2), 0, 6))
    server.before = () => {
      throw new PetalsError('ENGINE_LOST', 'the engine is lost')
    }
    await assert.rejects(forwardPass(swarm, batch(1, 2), { ...ALL, recoveryTimeoutMs: 300 }), { code: 'ENGINE_LOST' })
    swarm.kill(server)
    // Nobody else is there, and nobody waits for one: all day would be allowed.
    await assert.rejects(forwardPass(swarm, batch(1, 2), { ...ALL, recoveryTimeoutMs: 86_400_000 }), {
      code: 'NO_ROUTE',
    })
  })

  it('ends at once where trying again is of no use, on all servers', async (t) => {
    for (const code of ['TENSOR_SHAPE', 'TOKEN_ID', 'ADAPTER_UNKNOWN']) {
      const swarm = new ToySwarm(t)
      const [a, b] = [swarm.serve(0, 6), swarm.serve(0, 6)]
      a.before = () => {
        throw new PetalsError(code, 'cannot be')
      }
      b.pieceMs = 60_000
      await assert.rejects(forwardPass(swarm, batch(4, 1024), ALL), { code })
      assert.deepEqual([a.computed.length, b.computed.length], [0, 0])
      assert.equal(swarm.lanes.numPieces, 0)
      await swarm.idle()
      assert.equal(swarm.bans.size, 0)
    }
  })

  it('leaves out servers that refuse it, and says why if there is no other', async (t) => {
    for (const code of ['TRAINING_OFF', 'TRAINING_MEMORY', 'SPAN_NOT_HELD', 'ADAPTER_MEMORY']) {
      const swarm = new ToySwarm(t)
      const [refuses, takes] = [swarm.serve(0, 6, { prefillRate: 1e6 }), swarm.serve(0, 6)]
      refuses.before = (kind) => {
        if (kind === 'backward') throw new PetalsError(code, 'not here')
      }
      using pass = await recordedPass(swarm, batch(2, 8), ALL)
      assert.equal(refuses.rows('forward'), 2)
      assertSame((await pass.backward(batch(2, 8))).hidden, backward(batch(2, 8), 0, 6, undefined).hidden)
      assert.equal(takes.rows('backward'), 2)
      assert.equal(swarm.bans.size, 0)
      swarm.kill(takes)
      await assert.rejects(pass.backward(batch(2, 8)), { code })
    }
  })

  it('routes around servers that compute no gradients of so many tokens', async (t) => {
    const swarm = new ToySwarm(t)
    const [none, few, able] = [swarm.serve(0, 6), swarm.serve(0, 6, { backwardTokens: 8 }), swarm.serve(0, 6)]
    none.record = { backwardTokens: undefined as unknown as number, prefillRate: 1e6 }
    using _ = await recordedPass(swarm, batch(2, 9), ALL)
    assert.deepEqual(
      [none, few, able].map((server) => server.rows('forward')),
      [0, 0, 2],
    )
    await forwardPass(swarm, batch(2, 9), ALL)
    assert.equal(none.rows('forward'), 2)
    swarm.kill(able)
    await assert.rejects(recordedPass(swarm, batch(1, 9), ALL), {
      code: 'NO_ROUTE',
      message: /holds blocks 0, 1, .* and computes gradients for sequences of 9 tokens/,
    })
  })

  it('believes no answer that cannot be', async (t) => {
    type Said = { kind: string; hidden?: Tensor; prompts?: Tensor }
    const lies: [code: string, lie: (said: Said) => object | undefined][] = [
      ['SESSION_ANSWER', (said) => said.hidden && { ...said, hidden: shaped(said.hidden, [2, 16, WIDTH / 2]) }],
      [
        'SESSION_ANSWER',
        (said) => said.hidden && { ...said, hidden: { ...said.hidden, dtype: 'bfloat16', shape: [2, 16, WIDTH] } },
      ],
      ['TENSOR_NONFINITE', (said) => said.hidden && { ...said, hidden: spoilt(said.hidden, Number.NaN) }],
      ['TENSOR_NONFINITE', (said) => said.hidden && { ...said, hidden: spoilt(said.hidden, -Infinity) }],
      ['SESSION_ANSWER', () => undefined],
      ['SESSION_ANSWER', (said) => (said.kind === 'gradients' ? { ...said, prompts: undefined } : said)],
      ['SESSION_ANSWER', (said) => (said.prompts ? { ...said, prompts: shaped(said.prompts, [3, 4, WIDTH]) } : said)],
      ['TENSOR_NONFINITE', (said) => (said.prompts ? { ...said, prompts: spoilt(said.prompts, Infinity) } : said)],
      [
        'SESSION_ANSWER',
        (said) => (said.kind === 'complete' ? { ...batch(1, 1), kind: 'gradients', hidden: batch(1, 1) } : said),
      ],
      [
        'SESSION_ANSWER',
        (said) => (said.kind === 'complete' ? { kind: 'module', name: 'x', a: matrix, b: matrix } : said),
      ],
      ['SESSION_ANSWER', (said) => (said.kind === 'gradients' ? { kind: 'complete' } : said)],
      ['SESSION_ANSWER', (said) => (said.kind === 'complete' ? undefined : said)],
    ]
    const matrix = fromFloat32(new Float32Array(1), [1, 1])
    const [hidden, gradient, given] = [batch(2, 8), batch(2, 8, 1), prompts(2)]
    for (const [i, [code, lie]] of lies.entries()) {
      const swarm = new ToySwarm(t)
      const [liar] = [swarm.serve(0, 6, { prefillRate: 1e6 }), swarm.serve(0, 6)]
      liar.lie = (answer) => lie(answer as Said) as typeof answer | undefined
      using pass = await recordedPass(swarm, hidden, { ...ALL, prompts: given })
      assertSame(pass.output, forward(hidden, 0, 6, given))
      const found = await pass.backward(gradient)
      assertSame(found.hidden, backward(gradient, 0, 6, 2).hidden)
      assertSame(found.prompts, backward(gradient, 0, 6, 2).prompts)
      assert.equal((swarm.bans.get(liar.id) as PetalsError | undefined)?.code, code, `lie ${i}`)
      await swarm.idle()
    }
  })

  it('believes NaN that several servers compute', async (t) => {
    const swarm = new ToySwarm(t)
    for (let i = 0; i < 4; i++) {
      const server = swarm.serve(0, 6)
      server.lie = (answer) => ({ ...answer, hidden: fromFloat32(new Float32Array(4).fill(Number.NaN), [1, 2, WIDTH]) })
    }
    await assert.rejects(forwardPass(swarm, batch(1, 2), ALL), { code: 'TENSOR_NONFINITE' })
    assert.equal(swarm.servers.filter(({ computed }) => computed.length > 0).length, 3)
  })

  it('gives up a server that does not answer in its time', async (t) => {
    const swarm = new ToySwarm(t)
    const [mute, able] = [swarm.serve(0, 6, { prefillRate: 1e6 }), swarm.serve(0, 6)]
    mute.pieceMs = 60_000
    const options = { ...ALL, timeoutMs: 200 }
    assertSame(await forwardPass(swarm, batch(3, 8), options), forward(batch(3, 8), 0, 6))
    assert.equal((swarm.bans.get(mute.id) as PetalsError).code, 'SWARM_TIMEOUT')
    assert.equal(able.rows('forward'), 3)
  })
})

describe('a pass that its caller ends', () => {
  it('ends at once, on all servers, and leaves nothing behind', async (t) => {
    const swarm = new ToySwarm(t)
    for (const [start, end] of [
      [0, 3],
      [3, 6],
      [3, 6],
    ] as const)
      swarm.serve(start, end)
    const before = PROCESS_PASS_MEMORY.bytes
    const reason = new PetalsError('SESSION_CLOSED', 'the user left')
    const hidden = batch(16, 1024)
    using pass = await recordedPass(swarm, hidden, ALL)
    const work: ((signal: AbortSignal) => Promise<unknown>)[] = [
      (signal) => forwardPass(swarm, hidden, { ...ALL, signal }),
      (signal) => recordedPass(swarm, hidden, { ...ALL, signal }),
      (signal) => pass.backward(hidden, { signal }),
      (signal) => backwardPass(swarm, hidden, hidden, { ...ALL, signal }),
    ]
    for (const begin of work) {
      const stop = new AbortController()
      const numBefore = swarm.servers.reduce((sum, { computed }) => sum + computed.length, 0)
      const held = Promise.withResolvers<void>()
      let begun = 0
      for (const server of swarm.servers) server.before = () => (++begun > 3 ? held.promise : undefined)
      const ended = assert.rejects(begin(stop.signal), reason)
      await eventually(() => begun > 3)
      assert.ok(swarm.lanes.numPieces > 0)
      stop.abort(reason)
      // While servers still compute.
      await ended
      assert.equal(swarm.lanes.numPieces, 0)
      held.resolve()
      await swarm.idle()
      assert.ok(swarm.servers.reduce((sum, { computed }) => sum + computed.length, 0) > numBefore)
      await assert.rejects(begin(stop.signal), reason)
    }
    assert.equal(swarm.bans.size, 0)
    assert.equal(PROCESS_PASS_MEMORY.bytes - before, pass.bytes)
    assertSame((await pass.backward(hidden)).hidden, backward(hidden, 0, 6, undefined).hidden)
  })

  it('ends while a frozen server is dialled or computes', async (t) => {
    const swarm = new ToySwarm(t)
    const server = swarm.serve(0, 6)
    const signal = AbortSignal.timeout(50)
    server.peer.frozen = true
    await assert.rejects(forwardPass(swarm, batch(1, 2), { ...ALL, signal }), { name: 'TimeoutError' })
    assert.equal(swarm.lanes.numPieces, 0)
  })
})
