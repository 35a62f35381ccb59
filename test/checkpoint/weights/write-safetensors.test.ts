import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { readRows } from '../../../src/checkpoint/weights/read.ts'
import { readSafetensorsHeader } from '../../../src/checkpoint/weights/safetensors.ts'
import { writeSafetensors } from '../../../src/checkpoint/weights/write-safetensors.ts'
import { fromFloat32, tensor } from '../../../src/tensor/tensor.ts'

test('what is written is read again, aligned, and nothing else is left', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'petals-write-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'new', 'weights.safetensors')
  const tensors = new Map([
    ['b', fromFloat32(Float32Array.of(1.5, -2, 0.25), [3, 1])],
    ['ä "name"', tensor('bfloat16', [2], Uint8Array.of(1, 2, 3, 4))],
    ['a', tensor('int64', [1], Uint8Array.of(7, 0, 0, 0, 0, 0, 0, 0))],
    ['none', fromFloat32(new Float32Array(0), [0, 4])],
  ])
  await writeSafetensors(file, tensors, { note: 'x' })
  await writeSafetensors(file, tensors)
  const slices = await readSafetensorsHeader(file)
  assert.equal(slices.length, tensors.size)
  for (const slice of slices) {
    const { dtype, shape, data } = tensors.get(slice.name)!
    assert.deepEqual([slice.dtype, slice.shape], [dtype, shape])
    assert.deepEqual(Buffer.from(await readRows(slice, 0, shape[0]!)), Buffer.from(data))
  }
  assert.equal(slices[0]!.offset % 8, 0)
  assert.deepEqual(await readdir(join(folder, 'new')), ['weights.safetensors'])
})
