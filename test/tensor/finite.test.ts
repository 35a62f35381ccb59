import assert from 'node:assert/strict'
import { test } from 'node:test'
import { convert } from '../../src/tensor/convert.ts'
import { allFinite, allFiniteInPieces } from '../../src/tensor/finite.ts'
import { fromFloat32, tensor } from '../../src/tensor/tensor.ts'

test('NaN and infinities are found in every float type, and nothing else is taken for one', () => {
  const ordinary = [0, -0, 1.5, -65_504, 6e-8]
  for (const dtype of ['float32', 'float16', 'bfloat16'] as const) {
    const has = (...values: number[]) =>
      allFinite(
        convert(fromFloat32(Float32Array.from([...ordinary, ...values]), [ordinary.length + values.length]), dtype),
      )
    assert.ok(has())
    for (const bad of [Number.NaN, Infinity, -Infinity]) assert.ok(!has(bad) && !has(bad, 1), `${bad} in ${dtype}`)
  }
  assert.ok(allFinite(fromFloat32(Float32Array.of(3e38, -3e38), [2])))
  const shifted = new Uint8Array(5)
  shifted.set([0x00, 0x7c], 1)
  assert.ok(!allFinite(tensor('float16', [2], shifted.subarray(1))))
  assert.throws(() => allFinite(tensor('int8', [1], new Uint8Array(1))), { code: 'TENSOR_DTYPE' })
})

test('a tensor of several pieces is looked at to its end, of every float type', async () => {
  for (const dtype of ['float32', 'float16', 'bfloat16'] as const) {
    const values = new Float32Array(2_500_000)
    assert.ok(await allFiniteInPieces(convert(fromFloat32(values, [values.length]), dtype)))
    values[values.length - 1] = NaN
    assert.ok(!(await allFiniteInPieces(convert(fromFloat32(values, [values.length]), dtype))))
  }
})

test('a NaN is found at every place, and what lies behind the last element is not looked at', () => {
  for (const dtype of ['float32', 'float16', 'bfloat16'] as const) {
    for (const length of [1, 3, 4, 7, 8, 9, 33, 65_537]) {
      const places = length < 100 ? Array.from({ length }, (_, i) => i) : [0, 32_768, 65_535, 65_536]
      for (const place of places) {
        const values = new Float32Array(length)
        values[place] = NaN
        assert.ok(!allFinite(convert(fromFloat32(values, [length]), dtype)), `${place} of ${length} in ${dtype}`)
        assert.ok(allFinite(convert(fromFloat32(new Float32Array(length), [length]), dtype)))
      }
    }
  }
})
