import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { blockGraphs } from '../../../src/families/graphs/graphs.ts'
import { blockDigests } from '../../../src/checkpoint/weights/block-digests.ts'
import { blockSlices } from '../../../src/engine/loading/block-slices.ts'
import { loadBlocks } from '../../../src/engine/loading/load-blocks.ts'
import { type BlocksLoaded, type LoadReport, loadSpan } from '../../../src/engine/loading/load.ts'
import { releaseSpan } from '../../../src/engine/loading/release-span.ts'
import { Engine } from '../../../src/engine/engine.ts'
import { CPU } from '../../../src/runtime/device.ts'

const FOLDER = new URL('../../fixtures/llama', import.meta.url).pathname

test('loading that is given up at any moment rejects with the reason, and the process lives on', async () => {
  const checkpoint = await openCheckpoint(FOLDER)
  const options = {
    checkpoint,
    start: 0,
    end: 3,
    device: CPU,
    dtype: 'float32',
    threads: 1,
    spin: false,
    cacheTokens: 1024,
  } as const
  const reason = new Error('given up')
  // Threads that were terminated while they loaded a native module have aborted the process.
  for (const delayMs of [0, 0, 10, 30, 50, 70, 90, 110]) {
    const controller = new AbortController()
    setTimeout(() => controller.abort(reason), delayMs)
    const loading = Engine.load({ ...options, signal: controller.signal })
    await loading.then(
      (engine) => engine.close(),
      (error: unknown) => assert.equal(error, reason),
    )
  }
  const engine = await Engine.load(options)
  assert.equal(engine.numSessions, 0)
  await engine.close()
})

test('a loading thread that is told to stop does so after the block that it is at', async () => {
  const checkpoint = await openCheckpoint(FOLDER)
  const stop = new SharedArrayBuffer(4)
  const span = { checkpoint, start: 0, end: 3, device: CPU, dtype: 'float32', threads: 1, spin: false } as const
  const reports: BlocksLoaded[] = []
  const report = (progress: LoadReport): void => {
    assert.ok('blocksLoaded' in progress)
    reports.push(progress)
    if (progress.blocksLoaded === 2) Atomics.store(new Int32Array(stop), 0, 1)
  }
  assert.throws(() => loadBlocks({ ...span, withDigests: false, stop }, report), { code: 'ENGINE_LOAD' })
  assert.deepEqual(
    reports.map(({ blocksLoaded }) => blocksLoaded),
    [1, 2],
  )
})

test('a small model and a large one, which another thread hashes, have the same digests', async () => {
  const checkpoint = await openCheckpoint(FOLDER)
  const target = { device: CPU.kind, dtype: 'float32' } as const
  const slices = blockSlices({ checkpoint, start: 1, end: 3 }, blockGraphs(checkpoint.config, target, 1, 3))
  const digests = blockDigests(slices.map((block) => [...block.values()]))
  assert.equal(new Set(digests).size, 2)
  // Of no block: only its size is looked at.
  const [slice] = checkpoint.tensors.values()
  const filler = { ...slice!, name: 'filler', byteLength: 64 << 20 }
  const large = { ...checkpoint, tensors: new Map([...checkpoint.tensors, [filler.name, filler]]) }
  for (const model of [checkpoint, large]) {
    const options = {
      checkpoint: model,
      start: 1,
      end: 3,
      device: CPU,
      dtype: 'float32',
      threads: 1,
      spin: false,
    } as const
    const loaded = await loadSpan(options)
    releaseSpan(loaded.span)
    assert.deepEqual(loaded.blockDigests, digests)
  }
})
