import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import type { TokenSource } from '../src/client/generation/choosing/token-source.ts'
import { resultOf } from '../src/client/generation/continuations.ts'
import { generate } from '../src/client/generation/generate.ts'
import { ModelEnds } from '../src/engine/ends/ends.ts'
import type { ResolvedOptions } from '../src/sampling/options/options.ts'
import { asFloat32, sliceRows } from '../src/tensor/tensor.ts'
import { writeSyntheticLlama } from '../test/checkpoint/synthetic.ts'

const TOKENS = 512
const TOKENS_ALONE = 128
const SESSIONS = [1, 64]
const THREADS = { threads: 2, spin: false }

/** A vocabulary of 128 k behind a narrow head, so that the choice of tokens and not the head takes the time. */
const MODEL = {
  numBlocks: 1,
  hiddenSize: 128,
  intermediateSize: 64,
  numHeads: 4,
  numKvHeads: 4,
  vocabSize: 128_256,
  maxPositions: 8192,
}

const OPTIONS: Record<string, Partial<ResolvedOptions>> = {
  greedy: {},
  'temperature 0.8, top-k 50, top-p 0.9, repetition penalty': {
    temperature: 0.8,
    topK: 50,
    topP: 0.9,
    repetitionPenalty: 1.1,
    seed: 1,
  },
  'temperature 0.8, top-p 0.9 of all, log-probabilities': { temperature: 0.8, topP: 0.9, logprobs: true, seed: 1 },
}

type Source = Required<Omit<TokenSource, 'heldIds'>>

/** No blocks in between: what is left of a client is embedding, head and the choice of tokens. */
function withoutBlocks(ends: ModelEnds): Source {
  const feed = async (ids: readonly number[]): Promise<Float32Array> =>
    asFloat32(sliceRows(await ends.embed(ids.slice(-1)), 0, 1)).slice()
  return { next: async (ids) => ends.head(await feed(ids)), beforeHead: { head: ends, feed } }
}

/**
 * What choosing tokens out of 128 k takes of a client's main thread, and how long that is held up at most: tokens
 * chosen beside the head, by one thread and by two, and, as for own logits processors, on the main thread.
 */
export async function benchSampling(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'petals-node-bench-'))
  await writeSyntheticLlama(folder, MODEL)
  const checkpoint = await openCheckpoint(folder)
  const ends = await Promise.all([1, 2].map((choosers) => ModelEnds.load({ checkpoint, ...THREADS, choosers })))
  const [{ next, beforeHead }, { beforeHead: shared }] = ends.map(withoutBlocks) as [Source, Source]
  try {
    for (const [what, options] of Object.entries(OPTIONS)) {
      console.log(what)
      for (const sessions of SESSIONS) {
        await measure(`  ${sessions} sessions, logits on the main thread`, { next }, sessions, options)
        await measure(`  ${sessions} sessions, tokens from the head's thread`, { next, beforeHead }, sessions, options)
        const both = { next, beforeHead: shared }
        await measure(`  ${sessions} sessions, tokens from two threads`, both, sessions, options)
      }
    }
  } finally {
    for (const each of ends) await each.close()
    await rm(folder, { recursive: true })
  }
}

async function measure(
  what: string,
  source: TokenSource,
  sessions: number,
  options: Partial<ResolvedOptions>,
): Promise<void> {
  const run = (maxNewTokens: number) =>
    Promise.all(
      Array.from({ length: sessions }, (_, i) => resultOf(generate(source, [i + 1], { ...options, maxNewTokens }))),
    )
  await run(2)
  const each = sessions === 1 ? TOKENS_ALONE : TOKENS / sessions
  const held = watchHoldUps()
  const cpu = process.threadCpuUsage()
  const began = performance.now()
  await run(each)
  const seconds = (performance.now() - began) / 1000
  const { user, system } = process.threadCpuUsage(cpu)
  const { late, computed } = held()
  console.log(
    `${what}: ${((user + system) / 1000 / (sessions * each)).toFixed(2)} ms of the main thread per token, ` +
      `at most ${computed.toFixed(0)} ms of it at a stretch, held up for at most ${late.toFixed(0)} ms, ` +
      `${((sessions * each) / seconds).toFixed(0)} tokens/s`,
  )
}

/**
 * Watches the event loop, by a timer of 1 ms; the function that it returns gives the longest it was late, in ms, and
 * the longest that this thread itself computed between two of its ticks: on a busy machine it is late for others'
 * sake.
 */
function watchHoldUps(): () => { late: number; computed: number } {
  let last = performance.now()
  let cpu = process.threadCpuUsage()
  const longest = { late: 0, computed: 0 }
  const look = (): void => {
    const now = performance.now()
    const { user, system } = process.threadCpuUsage(cpu)
    longest.late = Math.max(longest.late, now - last - 1)
    longest.computed = Math.max(longest.computed, (user + system) / 1000)
    last = now
    cpu = process.threadCpuUsage()
  }
  const timer = setInterval(look, 1)
  return () => {
    clearInterval(timer)
    look()
    return longest
  }
}
