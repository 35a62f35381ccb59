import assert from 'node:assert/strict'
import { rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { readChunks, readRows, readTensor } from '../../../src/checkpoint/weights/read.ts'
import { readSafetensorsHeader, type TensorSlice } from '../../../src/checkpoint/weights/safetensors.ts'
import { convert } from '../../../src/tensor/convert.ts'
import { asFloat32, type Tensor, tensor } from '../../../src/tensor/tensor.ts'
import { counting, temporaryFolder, writeSafetensors } from '../write.ts'

async function storedSlice(context: Parameters<typeof temporaryFolder>[0], source: Tensor): Promise<TensorSlice> {
  const file = join(await temporaryFolder(context), 'a.safetensors')
  await writeSafetensors(file, { odd: tensor('int8', [3], new Uint8Array(3)), a: source })
  const slice = (await readSafetensorsHeader(file)).find(({ name }) => name === 'a')
  assert.ok(slice)
  return slice
}

for (const dtype of ['float32', 'float16', 'bfloat16'] as const) {
  test(`a tensor of several chunks stored as ${dtype} reads as each float type`, async (t) => {
    const source = convert(counting([2_101, 1_009]), dtype)
    const slice = await storedSlice(t, source)
    for (const target of ['float32', 'float16', 'bfloat16'] as const) {
      const read = readTensor(slice, target)
      const wanted = convert(source, target)
      assert.deepEqual(read.shape, [2_101, 1_009])
      assert.equal(read.dtype, target)
      assert.ok(Buffer.from(read.data.buffer).equals(wanted.data), target)
    }
  })
}

test('a tensor that is read owns its memory', async (t) => {
  const read = readTensor(await storedSlice(t, counting([4])), 'float32')
  assert.equal(read.data.buffer.byteLength, 16)
  assert.deepEqual(
    asFloat32(structuredClone(read, { transfer: [read.data.buffer as ArrayBuffer] })),
    Float32Array.of(0, 1, 2, 3),
  )
})

test('an empty tensor reads as nothing', async (t) => {
  const slice = await storedSlice(t, counting([0, 4]))
  assert.equal(readTensor(slice, 'bfloat16').data.byteLength, 0)
  assert.equal((await readRows(slice, 0, 0)).byteLength, 0)
})

test('rows read as stored', async (t) => {
  const source = counting([5, 3])
  const slice = await storedSlice(t, source)
  assert.deepEqual(await readRows(slice, 1, 3), source.data.slice(12, 36))
  assert.deepEqual(await readRows(slice, 5, 5), new Uint8Array())
})

for (const [start, end] of [
  [-1, 2],
  [0, 6],
  [3, 2],
  [0.5, 1],
  [0, NaN],
] as const) {
  test(`there are no rows ${start} to ${end} of five`, async (t) => {
    await assert.rejects(readRows(await storedSlice(t, counting([5, 3])), start, end), { code: 'CHECKPOINT_SHAPE' })
  })
}

test('a tensor of integers is not read as floats', async (t) => {
  const slice = await storedSlice(t, tensor('int8', [4], new Uint8Array(4)))
  assert.throws(() => readTensor(slice, 'float32'), { code: 'CHECKPOINT_DTYPE', message: /tensor a .* is int8/ })
})

test('a file that has become shorter or is gone is an error, however it is read', async (t) => {
  const slice = await storedSlice(t, counting([100]))
  await truncate(slice.file, slice.offset + 390)
  const shorter = { code: 'CHECKPOINT_TRUNCATED', message: /10 bytes of tensor a are missing/ }
  assert.throws(() => readTensor(slice, 'float32'), shorter)
  assert.throws(() => readTensor(slice, 'float16'), shorter)
  assert.throws(() => readChunks(slice, () => undefined), shorter)
  await assert.rejects(readRows(slice, 0, 100), shorter)
  await rm(slice.file)
  assert.throws(() => readTensor(slice, 'float32'), { code: 'CHECKPOINT_MISSING_FILE' })
  await assert.rejects(readRows(slice, 0, 100), { code: 'CHECKPOINT_MISSING_FILE' })
})
