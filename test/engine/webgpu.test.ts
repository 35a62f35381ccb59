import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { Engine } from '../../src/engine/engine.ts'
import { ModelEnds } from '../../src/engine/ends/ends.ts'
import { deviceTurns } from '../../src/runtime/device-turns.ts'
import { CPU } from '../../src/runtime/device.ts'
import { WEBGPU } from '../../src/runtime/webgpu/platform.ts'
import { webGpuProcess } from '../../src/runtime/webgpu/process-state.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../../src/tensor/tensor.ts'
import { seededRandom } from '../checkpoint/write.ts'
import { ON_WEBGPU, PATIENTLY } from '../webgpu.ts'
import { Both, type Pair, assertAlike, copyOf, states } from './both.ts'

const LLAMA = new URL('../fixtures/llama', import.meta.url).pathname
const DEMO = new URL('../../models/demo', import.meta.url).pathname

describe('an engine on WebGPU beside one on the CPU', ON_WEBGPU, () => {
  let both: Both
  const random = seededRandom(15)
  before(async () => {
    both = await Both.load(await openCheckpoint(LLAMA), { prefillChunkTokens: 24 })
  }, PATIENTLY)
  after(() => both.close())

  it('gives the same to sessions that come and go, fork and are cut back', PATIENTLY, async (context) => {
    context.diagnostic('seed 15')
    const { hiddenSize } = both.cpu.config
    const sessions: Pair[] = []
    for (let round = 0; round < 60; round++) {
      if (sessions.length < 4) sessions.push(await both.open({ maxLength: 40 + Math.floor(random() * 80) }))
      await Promise.all(
        sessions.map(async (session) => {
          const left = session.cpu.maxLength - session.cpu.position
          if (left < 1 || random() < 0.2) return
          await session.step(states(random, random() < 0.2 ? Math.min(left, 30) : 1, hiddenSize))
        }),
      )
      const [first, second] = sessions
      if (random() < 0.2) first!.truncate(Math.floor(random() * first!.cpu.position))
      if (second !== undefined && random() < 0.2)
        await second.forkFrom(first!, Math.min(first!.cpu.position, second.cpu.maxLength))
      if (sessions.length === 4 && random() < 0.3) sessions.splice(Math.floor(random() * 4), 1)[0]!.release()
    }
    for (const session of sessions) session.release()
    assert.equal(both.gpu.cacheTokensLeft, both.gpu.cacheTokens)
  })

  it('gives the same for parts of the span, more of them than it keeps sessions for', PATIENTLY, async () => {
    const { hiddenSize } = both.cpu.config
    const parts = [0, 1, 2].flatMap((start) =>
      [1, 2, 3].filter((end) => end > start).map((end) => [start, end] as const),
    )
    for (let turn = 0; turn < 2; turn++)
      for (const [start, end] of parts) {
        const pairs = [await both.open({ start, end }), await both.open({ start, end })]
        for (const tokens of [3, 1])
          await Promise.all(pairs.map((pair) => pair.step(states(random, tokens, hiddenSize))))
        for (const pair of pairs) pair.release()
      }
  })

  it('adds deep prompts, in sessions and in passes', PATIENTLY, async () => {
    const { hiddenSize } = both.cpu.config
    const prompts = fromFloat32(asFloat32(states(random, 3 * 10, hiddenSize)), [3, 10, hiddenSize])
    const pair = await both.open({ prompts })
    for (const tokens of [4, 1, 30, 1]) await pair.step(states(random, tokens, hiddenSize))
    pair.release()
    const batch = fromFloat32(asFloat32(states(random, 2 * 40, hiddenSize)), [2, 40, hiddenSize])
    for (const given of [undefined, prompts]) {
      const options = { start: 0, end: 3, timeoutMs: 60_000, prompts: given }
      const [expected, found] = await Promise.all([
        both.cpu.forward(copyOf(batch), options),
        both.gpu.forward(copyOf(batch), options),
      ])
      assertAlike(found, expected, `a pass ${given === undefined ? 'without' : 'with'} prompts`)
    }
  })

  it('refuses backward passes: it computes no gradients', PATIENTLY, async () => {
    assert.equal(both.gpu.backwardTokens, 0)
    const hidden = fromFloat32(new Float32Array(both.cpu.config.hiddenSize), [1, 1, both.cpu.config.hiddenSize])
    const options = { start: 0, end: 3, timeoutMs: 1000 }
    await assert.rejects(both.gpu.backward(copyOf(hidden), copyOf(hidden), options), { code: 'TRAINING_OFF' })
  })
})

describe('the memory of an engine on WebGPU', ON_WEBGPU, () => {
  it('grows with its sequences, which go on as they were, and is given back', PATIENTLY, async (context) => {
    const before = webGpuProcess.allocatedBytes
    const both = await Both.load(await openCheckpoint(DEMO), { end: 1 })
    context.after(() => both.close())
    const { hiddenSize, numKvHeads, headDim } = both.cpu.config
    const loaded = webGpuProcess.allocatedBytes
    const tokenBytes = 2 * numKvHeads * headDim * 4
    const random = seededRandom(16)
    const [pair, other] = [await both.open({ maxLength: 600 }), await both.open({ maxLength: 600 })]
    await pair.step(states(random, 120, hiddenSize))
    assert.equal(both.gpu.cacheTokensLeft, 2048 - 128 - 128)
    for (let i = 0; i < 10; i++) await pair.step(states(random, 1, hiddenSize))
    assert.equal(both.gpu.cacheTokensLeft, 2048 - 256 - 128, 'beyond 128 tokens there is room for 256')
    await pair.step(states(random, 300, hiddenSize))
    await other.forkFrom(pair, 400)
    await Promise.all([other, pair].map((each) => each.step(states(random, 1, hiddenSize))))
    const held = both.gpu.cacheTokens - both.gpu.cacheTokensLeft
    assert.equal(held, 512 + 512)
    const cached = webGpuProcess.allocatedBytes - loaded
    // Beside the cache there are the numbers by which rows are moved, and longer rotary tables.
    assert.ok(cached >= held * tokenBytes && cached < held * tokenBytes * 1.3, `${cached} bytes for ${held} tokens`)
    for (const each of [pair, other]) each.release()
    await both.open({}).then((each) => each.step(states(random, 1, hiddenSize)))
    await both.close()
    assert.equal(webGpuProcess.allocatedBytes, before)
  })
})

describe('the thread that asks', ON_WEBGPU, () => {
  it('makes no call of the device itself, each of which waits for the one before', PATIENTLY, async (context) => {
    const held = webGpuProcess.allocatedBytes
    const take = context.mock.method(deviceTurns, 'take')
    const checkpoint = await openCheckpoint(LLAMA)
    const { hiddenSize } = checkpoint.config
    const load = { checkpoint, start: 0, end: 3, dtype: 'float32', threads: 1, spin: false } as const
    const options = { ...load, cacheTokens: 512, device: WEBGPU }
    const engine = await Engine.load(options)
    const ends = await ModelEnds.load({ checkpoint, threads: 1, spin: false, device: WEBGPU })
    const span = { start: 0, end: 3, maxLength: 64, timeoutMs: 0 }
    const [session, copy] = [await engine.openSession(span), await engine.openSession(span)]
    const hidden = states(seededRandom(18), 5, hiddenSize)
    await session.step(copyOf(hidden))
    await copy.forkFrom(session, 4)
    session.truncate(2)
    await session.step(hidden)
    await ends.head(asFloat32(await ends.embed([1])).slice())
    for (const each of [session, copy]) each.release()
    const noMore = new AbortController()
    const onProgress = (): void => noMore.abort(new Error('enough'))
    await assert.rejects(Engine.load({ ...options, onProgress, signal: noMore.signal }), /enough/)
    await Promise.all([engine.close(), ends.close()])
    assert.deepEqual(
      take.mock.calls.map(({ stack }) => stack.stack),
      [],
    )
    assert.equal(webGpuProcess.allocatedBytes, held)
  })
})

describe('everything on WebGPU at once', ON_WEBGPU, () => {
  it(
    'goes well: two engines, ends, and a third engine that is loaded and closed meanwhile',
    PATIENTLY,
    async (context) => {
      const checkpoint = await openCheckpoint(LLAMA)
      const { hiddenSize } = checkpoint.config
      const threads = { threads: 1, spin: false }
      const options = { checkpoint, start: 0, end: 3, dtype: 'float32', ...threads, cacheTokens: 1024 } as const
      const opened: { close(): Promise<void> }[] = []
      context.after(() => Promise.all(opened.map((each) => each.close())))
      const engines = await Promise.all([0, 1].map(() => Engine.load({ ...options, device: WEBGPU })))
      const ends = await ModelEnds.load({ checkpoint, ...threads, device: WEBGPU })
      const reference = await Engine.load({ ...options, device: CPU })
      opened.push(...engines, ends, reference)
      const random = seededRandom(17)
      const input = Array.from({ length: 40 }, () => states(random, 1, hiddenSize))
      const session = await reference.openSession({ start: 0, end: 3, maxLength: 64, timeoutMs: 0 })
      const expected: Tensor[] = []
      for (const hidden of input) expected.push(await session.step(copyOf(hidden)))
      const done = new AbortController()
      const others = (async () => {
        for (let turn = 0; turn < 3; turn++) {
          const third = await Engine.load({ ...options, device: WEBGPU })
          await third.close()
        }
        done.abort()
      })()
      const decode = async (engine: Engine): Promise<void> => {
        do {
          const own = await engine.openSession({ start: 0, end: 3, maxLength: 64, timeoutMs: 0 })
          for (const [i, hidden] of input.entries())
            assertAlike(await own.step(copyOf(hidden)), expected[i]!, `step ${i}`)
          own.release()
        } while (!done.signal.aborted)
      }
      const embedded = asFloat32(await ends.embed([1, 2, 3]))
      const logits = await ends.head(embedded.slice())
      const asks = async (): Promise<void> => {
        do {
          assert.deepEqual(asFloat32(await ends.embed([1, 2, 3])), embedded)
          assert.deepEqual(await ends.head(embedded.slice()), logits)
        } while (!done.signal.aborted)
      }
      await Promise.all([others, asks(), ...engines.flatMap((engine) => [decode(engine), decode(engine)])])
    },
  )
})
