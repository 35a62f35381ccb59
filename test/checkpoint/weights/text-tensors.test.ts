import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { mixtral } from '../../../src/checkpoint/config/model-types/mixtral.ts'
import { modelKey } from '../../../src/checkpoint/model-key.ts'
import { blockDigests } from '../../../src/checkpoint/weights/block-digests.ts'
import { readTensor } from '../../../src/checkpoint/weights/read.ts'
import type { TensorSlice } from '../../../src/checkpoint/weights/safetensors.ts'
import { splitExperts } from '../../../src/checkpoint/weights/text-tensors.ts'
import { temporaryFolder, writeSafetensors } from '../write.ts'
import { writeFile } from 'node:fs/promises'

const FUSED = join(import.meta.dirname, '../../fixtures-checkpoints/mixtral-fused')

function slice(name: string, shape: readonly number[], byteLength = 4 * shape.reduce((a, b) => a * b, 1)): TensorSlice {
  return { name, file: 'f', offset: 100, byteLength, dtype: 'float32', shape }
}

function split(...slices: TensorSlice[]): TensorSlice[] {
  return [...splitExperts(new Map(slices.map((each) => [each.name, each])), mixtral.experts!).values()]
}

describe('experts that are stored in one tensor', () => {
  it('are pieces of it under the names of single ones', () => {
    const parts = split(slice('model.layers.1.mlp.experts.gate_up_proj', [2, 6, 4]))
    assert.deepEqual(
      parts.map(({ name, offset, shape }) => [name, offset, shape]),
      [
        ['model.layers.1.block_sparse_moe.experts.0.w1.weight', 100, [3, 4]],
        ['model.layers.1.block_sparse_moe.experts.0.w3.weight', 148, [3, 4]],
        ['model.layers.1.block_sparse_moe.experts.1.w1.weight', 196, [3, 4]],
        ['model.layers.1.block_sparse_moe.experts.1.w3.weight', 244, [3, 4]],
      ],
    )
    assert.deepEqual(
      split(slice('model.layers.0.mlp.gate.weight', [2, 4])).map(({ name }) => name),
      ['model.layers.0.block_sparse_moe.gate.weight'],
    )
  })

  it('stay whole where they cannot be taken apart', () => {
    for (const shape of [
      [2, 5, 4],
      [8, 4],
      [1e9, 0, 4],
      [0, 6, 4],
    ])
      assert.equal(split(slice('model.layers.1.mlp.experts.gate_up_proj', shape)).length, 1)
  })

  it('make the same model, with the same digests, as single ones', async (context) => {
    const fused = await openCheckpoint(FUSED)
    const folder = await temporaryFolder(context)
    await writeFile(join(folder, 'config.json'), JSON.stringify(fused.config.raw))
    const single = [...fused.tensors].map(([name, each]) => [name, readTensor(each, 'float32')] as const)
    await writeSafetensors(join(folder, 'model.safetensors'), Object.fromEntries(single))
    const other = await openCheckpoint(folder)
    assert.equal(await modelKey(other), await modelKey(fused))
    const digest = ({ tensors }: typeof fused) =>
      blockDigests([[...tensors.values()].filter((each) => /layers\.0\./.test(each.name))])
    assert.deepEqual(digest(other), digest(fused))
  })
})
