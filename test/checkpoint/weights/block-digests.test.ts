import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Checkpoint, openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { blockDigests } from '../../../src/checkpoint/weights/block-digests.ts'
import type { TensorSlice } from '../../../src/checkpoint/weights/safetensors.ts'
import { convert } from '../../../src/tensor/convert.ts'
import type { Tensor } from '../../../src/tensor/tensor.ts'
import { copyOfLlama, LLAMA_FIXTURE, tensorsOf, writeSafetensors } from '../write.ts'

const SINGLE = 'model.safetensors'

function block(checkpoint: Checkpoint, index: number): TensorSlice[] {
  return [...checkpoint.tensors.values()].filter((slice) => slice.name.includes(`layers.${index}.`))
}

test('block digests tell blocks apart and see every byte', async (t) => {
  const checkpoint = await openCheckpoint(LLAMA_FIXTURE)
  const digests = blockDigests([0, 1, 2].map((index) => block(checkpoint, index)))
  assert.equal(new Set(digests).size, 3)
  for (const digest of digests) assert.match(digest, /^[0-9a-f]{16}$/)

  const folder = await copyOfLlama(t)
  const tensors = await tensorsOf(folder)
  const changed = tensors['model.layers.1.mlp.up_proj.weight']
  assert.ok(changed)
  const last = changed.data.length - 1
  changed.data[last] = (changed.data[last] ?? 0) ^ 1
  await writeSafetensors(join(folder, SINGLE), tensors)
  const copy = await openCheckpoint(folder)
  const after = blockDigests([0, 1, 2].map((index) => block(copy, index)))
  assert.deepEqual([after[0], after[2]], [digests[0], digests[2]])
  assert.notEqual(after[1], digests[1])
})

test('a block digest depends on neither names before the block nor order, but on the dtype', async (t) => {
  const checkpoint = await openCheckpoint(LLAMA_FIXTURE)
  const [digest] = blockDigests([block(checkpoint, 1)])
  const folder = await copyOfLlama(t)
  const tensors = await tensorsOf(folder)
  const renamed = Object.entries(tensors).map(([name, tensor]): [string, Tensor] => [
    name.replace(/^model\.layers\.1/, 'layers.1'),
    tensor,
  ])
  await writeSafetensors(join(folder, SINGLE), Object.fromEntries(renamed))
  assert.deepEqual(blockDigests([block(await openCheckpoint(folder), 1).toReversed()]), [digest])

  const halves = Object.entries(tensors).map(([name, tensor]): [string, Tensor] => [name, convert(tensor, 'bfloat16')])
  await writeSafetensors(join(folder, SINGLE), Object.fromEntries(halves))
  assert.notDeepEqual(blockDigests([block(await openCheckpoint(folder), 1)]), [digest])
})
