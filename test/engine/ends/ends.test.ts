import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Checkpoint, openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { loadOnDevice } from '../../../src/engine/ends/load-ends.ts'
import { ModelEnds } from '../../../src/engine/ends/ends.ts'
import { EndsThread } from '../../../src/engine/ends/ends-thread.ts'
import { beamsHere, beamsInThread, textHere, textInThread } from '../../../src/engine/ends/head-texts.ts'
import { CPU } from '../../../src/runtime/device.ts'
import { WEBGPU } from '../../../src/runtime/webgpu/platform.ts'
import { webGpuProcess } from '../../../src/runtime/webgpu/process-state.ts'
import { NO_WEBGPU, PATIENTLY } from '../../webgpu.ts'
import { createEnvironment } from '../../../src/runtime/environment.ts'
import type { ChosenBeams, ChosenText } from '../../../src/sampling/choosing-head.ts'
import type { ResolvedOptions } from '../../../src/sampling/options/options.ts'
import { asFloat32 } from '../../../src/tensor/tensor.ts'

const FOLDER = new URL('../../fixtures/llama', import.meta.url).pathname
const THREADS = { threads: 1, spin: false }
const PROMPT = [5, 9, 12, 77]

const OPTIONS: Partial<ResolvedOptions>[] = [
  {},
  { logprobs: true, repetitionPenalty: 1.3, presencePenalty: 0.5, frequencyPenalty: 0.2, noRepeatNgramSize: 2 },
  { temperature: 0.8, topK: 20, topP: 0.9, seed: 3, logprobs: true },
  { temperature: 1.3, topK: 0, typicalP: 0.7, minP: 0.001, seed: 4 },
  { forcedPrefixIds: [7, 8], minNewTokens: 5, eosTokenIds: [1], logitBias: { 3: 2 }, badWordsIds: [[5]] },
]

let checkpoint: Checkpoint
let ends: ModelEnds
let thread: EndsThread
before(async () => {
  checkpoint = await openCheckpoint(FOLDER)
  ends = await ModelEnds.load({ checkpoint, ...THREADS })
  thread = new EndsThread({ checkpoint, ...THREADS }, () => undefined)
  await thread.ready
})
after(() => Promise.all([ends.close(), thread.close()]))

/** A model without blocks: what follows a token follows from its embedding. */
async function stateAfter(id: number): Promise<Float32Array> {
  return asFloat32(await ends.embed([id])).slice()
}

async function write(text: ChosenText, count: number) {
  const samples = []
  for (let id = PROMPT.at(-1)!; samples.length < count; id = samples.at(-1)!.tokenId)
    samples.push(await text.choose(await stateAfter(id)))
  text.close()
  return samples
}

async function search(beams: ChosenBeams, steps: number) {
  const found = [await beams.candidates([await stateAfter(77)], [{ parent: 0, tokenId: undefined, total: 0 }])]
  for (let step = 1; step < steps; step++) {
    const running = found
      .at(-1)!
      .slice(0, 3)
      .map(({ beam, tokenId, total }) => ({ parent: beam, tokenId, total }))
    const states = await Promise.all(running.map(({ tokenId }) => stateAfter(tokenId)))
    found.push(await beams.candidates(states, running))
  }
  beams.close()
  return found
}

describe('tokens chosen in the thread of the ends are those chosen on the thread that asks', () => {
  for (const options of OPTIONS) {
    test(`for a text with ${JSON.stringify(options)}`, async () => {
      const resolved = { maxNewTokens: 8, ...options }
      assert.deepEqual(
        await write(textInThread(thread, resolved, PROMPT), 8),
        await write(textHere(ends, resolved, PROMPT), 8),
      )
    })

    test(`for beams with ${JSON.stringify(options)}`, async () => {
      const resolved = { maxNewTokens: 4, ...options, numBeams: 3 }
      assert.deepEqual(
        await search(beamsInThread(thread, resolved, PROMPT), 4),
        await search(beamsHere(ends, resolved, PROMPT), 4),
      )
    })
  }

  test('for texts that are written at the same time', async () => {
    const all = OPTIONS.flatMap((options) => [options, options]).map((options) => ({ maxNewTokens: 8, ...options }))
    const together = await Promise.all(all.map((options) => write(textInThread(thread, options, PROMPT), 8)))
    for (const [i, options] of all.entries())
      assert.deepEqual(together[i], await write(textHere(ends, options, PROMPT), 8))
  })

  test('where several threads choose', async () => {
    const own = new EndsThread({ checkpoint, ...THREADS, choosers: 3 }, () => undefined)
    await own.ready
    const open = (options: Partial<ResolvedOptions>) => textInThread(own, { maxNewTokens: 8, ...options }, PROMPT)
    // So many that all threads have been started and have some; the next ones go to each in turn.
    const idle = Array.from({ length: 6000 }, () => open({ logprobs: true }))
    const texts = OPTIONS.flatMap((options) => [options, options, options])
    const together = await Promise.all(texts.map((options) => write(open(options), 8)))
    for (const [i, options] of texts.entries())
      assert.deepEqual(together[i], await write(textHere(ends, { maxNewTokens: 8, ...options }, PROMPT), 8))
    for (const text of idle) text.close()
    const waiting = assert.rejects(open({}).choose(await stateAfter(5)), { code: 'ENGINE_CLOSED' })
    await own.close()
    await waiting
  })
})

test('functions and signals stay on their thread, and errors come back with their code', async () => {
  const options = {
    maxNewTokens: 1,
    signal: AbortSignal.abort(),
    stoppingCriteria: [() => true],
    suppressTokens: Array.from({ length: 128 }, (_, id) => id),
  }
  const text = textInThread(thread, options, PROMPT)
  await assert.rejects(text.choose(await stateAfter(5)), { code: 'USAGE', name: 'UsageError', message: /no token/ })
  text.close()
  const broken = textInThread(thread, { maxNewTokens: 1 }, PROMPT)
  const nan = new Float32Array(ends.hiddenSize).fill(NaN)
  await assert.rejects(broken.choose(nan), { code: 'LOGITS_NAN' })
  broken.close()
})

test('a text that waits for its token fails when the ends are closed, and so does one that asks later', async () => {
  const own = new EndsThread({ checkpoint, ...THREADS }, () => undefined)
  await own.ready
  const text = textInThread(own, { maxNewTokens: 1 }, PROMPT)
  const waiting = assert.rejects(text.choose(await stateAfter(5)), { code: 'ENGINE_CLOSED' })
  await own.close()
  await waiting
  await assert.rejects(text.choose(await stateAfter(5)), { code: 'ENGINE_CLOSED' })
  text.close()
})

test("in a device's memory, both ends give what they give on the CPU", PATIENTLY, async () => {
  const env = createEnvironment(THREADS)
  const ids = Array.from({ length: 100 }, (_, i) => (i * 7) % 128)
  const expected = asFloat32(await ends.embed(ids))
  const logits = await ends.head(expected.slice())
  const kinds = [[CPU, 'cpu'], [CPU, 'cuda'], ...(NO_WEBGPU === false ? [[WEBGPU, 'webgpu'] as const] : [])] as const
  for (const [device, lowering] of kinds) {
    const allocated = webGpuProcess.allocatedBytes
    const own = loadOnDevice(env, { checkpoint, ...THREADS, device }, lowering)
    try {
      assert.equal(own.ends, undefined, 'no other thread runs them')
      assert.deepEqual(own.runner.embed(BigInt64Array.from(ids, BigInt)), expected)
      const into = new Float32Array(logits.length)
      assert.equal(own.runner.head(expected, into), into)
      const error = into.reduce((worst, value, i) => Math.max(worst, Math.abs(value - logits[i]!)), 0)
      assert.ok(error < 1e-4, `max error ${error}`)
    } finally {
      own.close()
      assert.equal(webGpuProcess.allocatedBytes, allocated)
    }
  }
})

test('the thread that loads a device takes its messages: without CUDA it says so', async (context) => {
  const { cudaProblems } = await import('../../../src/runtime/choose-device.ts')
  if (cudaProblems({ kind: 'cuda', index: 0 }).length === 0) return context.skip('this machine has CUDA')
  await assert.rejects(
    ModelEnds.load({ checkpoint, ...THREADS, device: { kind: 'cuda', index: 0 }, dtype: 'float16' }),
    {
      code: /^RUNTIME/,
    },
  )
})
