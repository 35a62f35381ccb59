import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { BlockMemory, type RowMemory, cacheBytes } from '../../../src/engine/cache/rows/row-memory.ts'
import { blockSlices } from '../../../src/engine/loading/block-slices.ts'
import { loadResidentBlocks, releaseResident } from '../../../src/engine/loading/resident.ts'
import { WeightMemory } from '../../../src/engine/loading/weight-memory.ts'
import { DeviceRunner } from '../../../src/engine/run/device-runner.ts'
import { RopeTables } from '../../../src/engine/run/rope-tables.ts'
import type { RunnerSpan } from '../../../src/engine/run/runner-span.ts'
import { blockGraphs, cacheShape } from '../../../src/families/graphs/graphs.ts'
import { CPU } from '../../../src/runtime/device.ts'
import { createEnvironment } from '../../../src/runtime/environment.ts'
import { CUDA_FLOAT32, FIXTURES, floats, readTensors } from '../../families/support.ts'

const FOLDER = new URL('../../fixtures', import.meta.url).pathname
const CAPACITY = 128

/** Experts that only a CPU keeps in such few bits. */
const UNSUPPORTED = new Set(['gpt-oss-mxfp4'])

function bytes({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}

/** What runs on CUDA, in float32 on the CPU: all blocks as one graph, sums and norms as one operator. */
for (const fixture of FIXTURES.filter((name) => !UNSUPPORTED.has(name))) {
  test(`all blocks in one run give the reference: ${fixture}`, async (context) => {
    const checkpoint = await openCheckpoint(join(FOLDER, fixture))
    const { config } = checkpoint
    const { numBlocks, hiddenSize } = config
    const golden = await readTensors(join(FOLDER, fixture, 'golden.safetensors'))
    const target = { ...CUDA_FLOAT32, stored: config.storedQuant }
    const graphs = blockGraphs(config, target)
    const slices = blockSlices({ checkpoint, start: 0, end: numBlocks }, graphs)
    const weights = new WeightMemory()
    const resident = loadResidentBlocks(CPU, graphs, (i) => ({ slices: slices[i]!, memory: weights }))
    const { kvHeads, headDim } = cacheShape(config, target)
    const span: RunnerSpan = {
      device: CPU,
      dtype: 'float32',
      quant: undefined,
      sessions: [],
      hiddenSize,
      kvHeads,
      cacheHeadDim: headDim,
      start: 0,
      inputs: [],
      resident,
    }
    const cache = new BlockMemory(CPU, numBlocks, CAPACITY * cacheBytes(span))
    const { blocks } = cache
    const memory: RowMemory = { device: CPU, kvHeads, tokenBytes: cacheBytes(span), blocks, discards: false }
    const env = createEnvironment({ threads: 1, spin: false })
    const runner = new DeviceRunner(env, span, () => graphs, { maxTokens: CAPACITY, recorded: undefined })
    context.after(() => {
      runner.close()
      cache.release()
      releaseResident({ device: CPU, resident })
    })
    const [, tokens = 0] = golden.get('block0_input')!.shape
    const ropes = new RopeTables(config, 'float32', () => undefined)
    const key = ropes.acquire(tokens, CAPACITY)
    const output = new Float32Array(tokens * hiddenSize)
    for (const [from, to] of [
      [0, 5],
      [5, tokens - 1],
      [tokens - 1, tokens],
    ] as const) {
      const part = (values: Float32Array) => bytes(values.subarray(from * hiddenSize, to * hiddenSize))
      const batch = { memory, offset: 0, capacity: CAPACITY, start: 0, end: numBlocks, tokens: to - from }
      const [input, given] = [part(floats(golden, 'block0_input')), part(output)]
      runner.run({ ...batch, pastLengths: [from], input, output: given }, ropes.get(key))
    }
    const expected = floats(golden, `block${numBlocks - 1}_output`)
    const error = output.reduce((worst, value, i) => Math.max(worst, Math.abs(value - expected[i]!)), 0)
    assert.ok(error < 1e-4, `${error}`)
  })
}
