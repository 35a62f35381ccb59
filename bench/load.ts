import { execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import { type Checkpoint, openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import type { TensorSlice } from '../src/checkpoint/weights/safetensors.ts'
import { planSpan } from '../src/engine/plan/plan.ts'
import { type SyntheticLlama, writeSyntheticLlama } from '../test/checkpoint/synthetic.ts'
import type { MemoryReport } from '../test/engine/memory-child.ts'
import { median } from './statistics.ts'

const ROUNDS = 5
const MEMORY_FILES = '/dev/shm'

/** Seven blocks of Llama 3 8B: 3.05 GB as bfloat16. */
const LARGE: SyntheticLlama = {
  numBlocks: 7,
  hiddenSize: 4096,
  intermediateSize: 14_336,
  numHeads: 32,
  numKvHeads: 8,
  vocabSize: 64,
  maxPositions: 8192,
}

/** 316 MB in float32. */
const SMALL: SyntheticLlama = {
  numBlocks: 7,
  hiddenSize: 1024,
  intermediateSize: 2816,
  numHeads: 16,
  numKvHeads: 4,
  vocabSize: 64,
  maxPositions: 8192,
}

const run = promisify(execFile)

/**
 * The rate at which weights in the page cache are read and converted for the runtime, beside that of `cat` of the same
 * file into a memory file system; and the memory of a process that holds a span. Rounds alternate. Linux only.
 */
export async function benchLoad(): Promise<void> {
  if (!existsSync(MEMORY_FILES)) {
    console.log(`not run: this machine has no ${MEMORY_FILES}`)
    return
  }
  const folder = await mkdtemp(join(tmpdir(), 'petals-node-bench-'))
  try {
    await benchRate(join(folder, 'large'))
    await rm(join(folder, 'large'), { recursive: true })
    await benchMemory(join(folder, 'small'))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function benchRate(folder: string): Promise<void> {
  const { file, weightBytes } = await writeSyntheticLlama(folder, LARGE)
  const blocks = slicesByBlock(await openCheckpoint(folder))
  const bytes = blocks.flat().reduce((sum, { byteLength }) => sum + byteLength, 0)
  const rate = (seconds: number): string => `${(bytes / 1e9 / seconds).toFixed(2)} GB/s`
  console.log(`${(weightBytes / 1e9).toFixed(2)} GB of bfloat16 in the page cache, ${blocks.length} blocks`)
  await run('sh', ['-c', 'cat "$0" > /dev/null', file])
  const ratios: number[] = [],
    delays: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const catSeconds = await timeCat(file)
    const { seconds, maxDelayMs } = await timeReading(blocks)
    ratios.push(catSeconds / seconds)
    delays.push(maxDelayMs)
    console.log(
      `round ${round + 1}: read and converted to float32 at ${rate(seconds)}, ` +
        `cat into ${MEMORY_FILES} ${rate(catSeconds)}, ratio ${(catSeconds / seconds).toFixed(2)}; ` +
        `event loop held up for at most ${maxDelayMs.toFixed(1)} ms`,
    )
  }
  console.log(
    `median ratio ${median(ratios).toFixed(2)} (goal: at least 1), least ${Math.min(...ratios).toFixed(2)}; ` +
      `event loop at most ${Math.max(...delays).toFixed(1)} ms (goal: under 20)`,
  )
}

/** As loading does, one block after another, without the runtime's part. */
async function timeReading(blocks: TensorSlice[][]): Promise<{ seconds: number; maxDelayMs: number }> {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  // The monitor misses a hold-up that begins in its own first turn.
  await sleep(20)
  delay.reset()
  await sleep(5)
  const worker = new Worker(new URL('./load/reader.ts', import.meta.url), { workerData: blocks, execArgv: [] })
  const [seconds] = (await once(worker, 'message')) as [number]
  await once(worker, 'exit')
  delay.disable()
  return { seconds, maxDelayMs: delay.max / 1e6 }
}

/** The file that is written goes before the next round: it takes as much memory. */
async function timeCat(file: string): Promise<number> {
  const copies = await mkdtemp(join(MEMORY_FILES, 'petals-node-bench-'))
  try {
    const began = performance.now()
    await run('sh', ['-c', 'cat "$0" > "$1"', file, join(copies, 'copy')])
    return (performance.now() - began) / 1000
  } finally {
    await rm(copies, { recursive: true })
  }
}

function slicesByBlock({ config: { numBlocks }, tensors }: Checkpoint): TensorSlice[][] {
  return Array.from({ length: numBlocks }, (_, i) =>
    [...tensors.values()].filter(({ name }) => name.startsWith(`model.layers.${i}.`)),
  )
}

async function benchMemory(folder: string): Promise<void> {
  await writeSyntheticLlama(folder, SMALL)
  const plan = planSpan((await openCheckpoint(folder)).config, {
    device: 'cpu',
    dtype: 'float32',
    memoryBytes: 8e9,
    numBlocks: SMALL.numBlocks,
  })
  const child = fork(new URL('../test/engine/memory-child.ts', import.meta.url), [folder])
  const [report] = (await once(child, 'message')) as [MemoryReport]
  const { weightBytes, blockBytes, tokenBytes, numBlocks, workspaceBytes } = plan
  const grown = (bytes: number): string =>
    `${(bytes / 1e6).toFixed(0)} MB, ${(bytes / weightBytes).toFixed(2)} times the weights`
  console.log(
    `a span of ${(weightBytes / 1e6).toFixed(0)} MB in float32, ${numBlocks} blocks; resident memory is ` +
      'counted from before it was loaded',
  )
  console.log(`loaded and decoding: ${grown(report.loadedBytes)} (goal: at most 1.3)`)
  console.log(
    `peak while loading: ${grown(report.peakBytes)} (goal: at most ` +
      `${((1.3 * weightBytes + 2 * blockBytes) / weightBytes).toFixed(2)}: two blocks more)`,
  )
  console.log(
    `after a prefill of ${report.sessionTokens} tokens: ${grown(report.servingBytes)}; of it KV cache ` +
      `${((report.sessionTokens * tokenBytes * numBlocks) / 1e6).toFixed(0)} MB, planned workspace ` +
      `${(workspaceBytes / 1e6).toFixed(0)} MB`,
  )
  console.log(
    `loaded, hashed and packed in ${report.loadSeconds.toFixed(2)} s; event loop held up for at most ` +
      `${report.maxDelayMs.toFixed(1)} ms (goal: under 20)`,
  )
}
