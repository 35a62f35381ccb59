import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Checkpoint, openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import type { EngineSession } from '../src/engine/session/engine-session.ts'
import { Engine } from '../src/engine/engine.ts'
import type { KvDType } from '../src/graph/lowering.ts'
import { CPU } from '../src/runtime/device.ts'
import { fromFloat32 } from '../src/tensor/tensor.ts'
import { writeSyntheticLlama } from '../test/checkpoint/synthetic.ts'
import { seededRandom } from '../test/checkpoint/write.ts'
import { median } from './statistics.ts'

const TOKENS = 8192
const WINDOW = 1024
const SIZES = {
  numBlocks: 6,
  hiddenSize: 1024,
  intermediateSize: 1024,
  numHeads: 8,
  numKvHeads: 4,
  vocabSize: 64,
  maxPositions: TOKENS + 1024,
}
const STEPS = 48

/** Ways to keep a cache: all of it, in int8, and in blocks of which half, or all, attend within a window. */
const CACHES: readonly { readonly name: string; readonly windowed: number; readonly kvDType?: KvDType }[] = [
  { name: 'float32', windowed: 0 },
  { name: 'int8', windowed: 0, kvDType: 'int8' },
  { name: `float32, a window of ${WINDOW} in half of the blocks`, windowed: 3 },
  { name: `float32, a window of ${WINDOW}`, windowed: 6 },
  { name: `int8, a window of ${WINDOW}`, windowed: 6, kvDType: 'int8' },
]

/**
 * What one long session takes of the memory, and what prefill and a step behind it cost, for each way to keep a cache.
 * On Linux.
 */
export async function benchCache(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'petals-node-'))
  try {
    await writeSyntheticLlama(folder, SIZES)
    const checkpoint = await openCheckpoint(folder)
    console.log(`one session of ${TOKENS} tokens, ${SIZES.numBlocks} blocks of hidden size ${SIZES.hiddenSize}`)
    console.log(
      'cache                                              MB taken   ' +
        'KB a token and block   prefill, s   decode, ms a block',
    )
    for (const { name, windowed, kvDType } of CACHES) {
      const layers = checkpoint.config.layers.map((layer, i) => (i < windowed ? { ...layer, window: WINDOW } : layer))
      const { bytes, prefillSeconds, decodeMs } = await measure(
        { ...checkpoint, config: { ...checkpoint.config, layers } },
        kvDType,
      )
      console.log(
        [
          name.padEnd(48),
          (bytes / 1e6).toFixed(0).padStart(10),
          (bytes / TOKENS / SIZES.numBlocks / 1e3).toFixed(2).padStart(22),
          prefillSeconds.toFixed(1).padStart(12),
          decodeMs.toFixed(2).padStart(20),
        ].join(' '),
      )
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function measure(
  checkpoint: Checkpoint,
  kvDType: KvDType | undefined,
): Promise<{ bytes: number; prefillSeconds: number; decodeMs: number }> {
  const engine = await Engine.load({
    checkpoint,
    start: 0,
    end: SIZES.numBlocks,
    device: CPU,
    dtype: 'float32',
    kvDType,
    threads: availableParallelism(),
    spin: false,
    cacheTokens: 2 * TOKENS,
  })
  const warm = await engine.openSession({ start: 0, end: SIZES.numBlocks, maxLength: 1024, timeoutMs: 1000 })
  await feed(warm, 512, 512)
  warm.release()
  const before = residentBytes()
  const session = await engine.openSession({
    start: 0,
    end: SIZES.numBlocks,
    maxLength: TOKENS + STEPS,
    timeoutMs: 1000,
  })
  const began = performance.now()
  await feed(session, TOKENS, 512)
  const prefillSeconds = (performance.now() - began) / 1000
  const decodeMs = median(await feed(session, STEPS, 1)) / SIZES.numBlocks
  const bytes = residentBytes() - before
  session.release()
  await engine.close()
  return { bytes, prefillSeconds, decodeMs }
}

/** How long each step took, in ms. */
async function feed(session: EngineSession, tokens: number, perStep: number): Promise<number[]> {
  const random = seededRandom(tokens)
  const times: number[] = []
  for (let done = 0; done < tokens; done += perStep) {
    const hidden = fromFloat32(
      Float32Array.from({ length: perStep * SIZES.hiddenSize }, () => random() - 0.5),
      [perStep, SIZES.hiddenSize],
    )
    const began = performance.now()
    await session.step(hidden)
    times.push(performance.now() - began)
  }
  return times
}

/** Of the whole process: what else grows in it meanwhile is a tenth of the largest cache. */
function residentBytes(): number {
  return Number(/^RssAnon:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]) * 1024
}
