import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { before, describe, test } from 'node:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { type SpanPlan, planSpan } from '../../src/engine/plan/plan.ts'
import { writeSyntheticLlama } from '../checkpoint/synthetic.ts'
import type { MemoryReport } from './memory-child.ts'

/** 316 MB of weights in float32, stored as bfloat16. */
const LLAMA = {
  numBlocks: 7,
  hiddenSize: 1024,
  intermediateSize: 2816,
  numHeads: 16,
  numKvHeads: 4,
  vocabSize: 64,
  maxPositions: 8192,
}

/** Beside the weights: the runtime's library, the engine thread, and what the C library keeps of finished threads. */
const STEADY_RATIO = 1.3

/** Messages of hidden states that the threads have not collected yet. */
const MESSAGE_BYTES = 32e6

describe('a process that holds a span on a CPU', { skip: process.platform === 'linux' ? false : 'reads /proc' }, () => {
  let plan: SpanPlan
  let report: MemoryReport
  before(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'petals-node-'))
    try {
      await writeSyntheticLlama(folder, LLAMA)
      plan = planSpan((await openCheckpoint(folder)).config, {
        device: 'cpu',
        dtype: 'float32',
        memoryBytes: 8e9,
        numBlocks: LLAMA.numBlocks,
      })
      const child = fork(new URL('./memory-child.ts', import.meta.url), [folder])
      const [message] = (await once(child, 'message')) as [MemoryReport]
      report = message
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })

  test('grows by at most 1.3 times the weights', () => {
    assert.ok(report.loadedBytes <= STEADY_RATIO * plan.weightBytes, megabytes(report.loadedBytes, plan.weightBytes))
    // The runtime does hold them: an estimate far too large would pass the line above.
    assert.ok(report.loadedBytes >= plan.weightBytes, megabytes(report.loadedBytes, plan.weightBytes))
  })

  test('never takes more than two blocks beyond that while it loads', () => {
    assert.ok(
      report.peakBytes <= STEADY_RATIO * plan.weightBytes + 2 * plan.blockBytes,
      megabytes(report.peakBytes, plan.weightBytes),
    )
  })

  test('grows by what the plan says for cache and workspace when it serves', () => {
    const cacheBytes = report.sessionTokens * plan.tokenBytes * plan.numBlocks
    const grown = report.servingBytes - report.loadedBytes
    assert.ok(
      grown <= cacheBytes + plan.workspaceBytes + MESSAGE_BYTES,
      megabytes(grown, cacheBytes + plan.workspaceBytes),
    )
    assert.ok(grown >= cacheBytes / 2, megabytes(grown, cacheBytes))
  })
})

function megabytes(bytes: number, beside: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB beside ${(beside / 1e6).toFixed(0)} MB`
}
