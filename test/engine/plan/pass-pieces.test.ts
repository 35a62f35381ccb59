import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { passPieceTokens } from '../../../src/engine/plan/pass-pieces.ts'

test('pieces of passes are longer than prefill chunks where blocks are small, on a CPU only', async () => {
  const { config } = await openCheckpoint(join(import.meta.dirname, '../../fixtures/llama'))
  const pieceOf = (hiddenSize: number, device: 'cpu' | 'cuda' = 'cpu') =>
    passPieceTokens({ ...config, hiddenSize, intermediateSize: 4 * hiddenSize }, { device }, 256)
  assert.equal(pieceOf(64), 1024)
  assert.equal(pieceOf(64, 'cuda'), 256)
  assert.equal(pieceOf(4096), 256)
  const between = pieceOf(512)
  assert.ok(between > 256 && between < 1024, String(between))
})
