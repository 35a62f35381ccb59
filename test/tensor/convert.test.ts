import assert from 'node:assert/strict'
import { test } from 'node:test'
import { convert, convertElements, convertInPieces } from '../../src/tensor/convert.ts'
import type { FloatDType } from '../../src/tensor/dtype.ts'
import { asFloat32, fromFloat32, type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { assembleKernels, readKernels } from './assemble.ts'

/** A half tensor from the bits of its elements. */
function halves(dtype: FloatDType, bits: readonly number[]): Tensor {
  return tensor(dtype, [bits.length], new Uint8Array(Uint16Array.from(bits).buffer))
}

function bitsOf(half: Tensor): number[] {
  return [...new Uint16Array(half.data.slice().buffer)]
}

function down(values: readonly number[], target: FloatDType): number[] {
  return bitsOf(convert(fromFloat32(Float32Array.from(values), [values.length]), target))
}

/** What a half's bits stand for, from the definition of the format. */
function valueOf(bits: number, exponentBits: number, mantissaBits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >>> mantissaBits) & ((1 << exponentBits) - 1)
  const mantissa = bits & ((1 << mantissaBits) - 1)
  const bias = (1 << (exponentBits - 1)) - 1
  if (exponent === (1 << exponentBits) - 1) return mantissa === 0 ? sign * Infinity : NaN
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits)
  return sign * (1 + mantissa / 2 ** mantissaBits) * 2 ** (exponent - bias)
}

const FORMATS = [
  { dtype: 'float16', exponentBits: 5, mantissaBits: 10 },
  { dtype: 'bfloat16', exponentBits: 8, mantissaBits: 7 },
] as const

for (const { dtype, exponentBits, mantissaBits } of FORMATS) {
  const all = Array.from({ length: 65_536 }, (_, bits) => bits)
  const values = all.map((bits) => valueOf(bits, exponentBits, mantissaBits))

  test(`all 65536 values of ${dtype} become float32 exactly`, () => {
    const wide = asFloat32(convert(halves(dtype, all), 'float32'))
    for (const bits of all) assert.ok(Object.is(wide[bits], values[bits]), `${bits}: ${wide[bits]} for ${values[bits]}`)
  })

  test(`all values of ${dtype} survive float32 and back, NaN as NaN`, () => {
    const back = bitsOf(convert(convert(halves(dtype, all), 'float32'), dtype))
    for (const bits of all) {
      if (Number.isNaN(values[bits])) assert.ok(Number.isNaN(values[back[bits] ?? 0]))
      else assert.equal(back[bits], bits)
    }
  })

  test(`float32 between two values of ${dtype} goes to the nearer one, a tie to the even one`, () => {
    const infinity = ((1 << exponentBits) - 1) << mantissaBits
    const lows = all.slice(0, infinity - 1)
    const between = (share: number) =>
      lows.map((bits) => {
        const low = values[bits] ?? 0
        return low + ((values[bits + 1] ?? 0) - low) * share
      })
    assert.deepEqual(down(between(0.25), dtype), lows)
    assert.deepEqual(
      down(between(0.75), dtype),
      lows.map((bits) => bits + 1),
    )
    assert.deepEqual(
      down(between(0.5), dtype),
      lows.map((bits) => bits + (bits % 2)),
    )
    assert.deepEqual(
      down(
        between(0.5).map((value) => -value),
        dtype,
      ),
      lows.map((bits) => 0x8000 + bits + (bits % 2)),
    )
  })

  test(`too large for ${dtype} is infinity, too small is a signed zero`, () => {
    const infinity = ((1 << exponentBits) - 1) << mantissaBits
    const largest = Math.fround(3.4028234663852886e38)
    assert.deepEqual(down([largest, -largest, Infinity, -Infinity], dtype), [
      infinity,
      infinity | 0x8000,
      infinity,
      infinity | 0x8000,
    ])
    assert.deepEqual(down([1e-45, -1e-45, 0, -0], dtype), [0, 0x8000, 0, 0x8000])
  })
}

test('the halves convert into one another through float32, across the scratch boundary', () => {
  const count = 70_000
  const bits = Array.from({ length: count }, (_, i) => (i * 7919) & 0x7bff)
  const source = halves('float16', bits)
  assert.deepEqual(bitsOf(convert(source, 'bfloat16')), bitsOf(convert(convert(source, 'float32'), 'bfloat16')))
})

test('bytes that are not aligned convert the same', () => {
  const source = new Uint8Array([0, 0x80, 0x3f, 0, 0x40]).subarray(1)
  const target = new Uint8Array(9).subarray(1)
  convertElements('bfloat16', source, 'float32', target)
  assert.deepEqual(new Float32Array(target.slice().buffer), Float32Array.of(1, 2))
  const back = new Uint8Array(5).subarray(1)
  convertElements('float32', target, 'bfloat16', back)
  assert.deepEqual([...back], [...source])
})

test('the same dtype is returned as it is, other types are refused', () => {
  const integers = tensor('int32', [1], new Uint8Array(4))
  assert.equal(convert(integers, 'int32'), integers)
  assert.throws(() => convert(integers, 'float32'), { code: 'TENSOR_DTYPE' })
  assert.throws(() => convert(fromFloat32(Float32Array.of(1), [1]), 'int8'), { code: 'TENSOR_DTYPE' })
  assert.throws(() => convertElements('float16', new Uint8Array(3), 'float32', new Uint8Array(6)), {
    code: 'TENSOR_SHAPE',
  })
})

test('the event loop has its turn while a large tensor is converted in pieces; the result is the same', async () => {
  const source = halves(
    'bfloat16',
    Array.from({ length: 2_500_000 }, (_, i) => (i * 7919) & 0x7f7f),
  )
  let turns = 0
  setImmediate(() => turns++)
  const wide = await convertInPieces(source, 'float32')
  assert.ok(Buffer.from(wide.data).equals(convert(source, 'float32').data))
  assert.equal(turns, 1)
  await assert.rejects(convertInPieces(tensor('int32', [2_000_000], new Uint8Array(8_000_000)), 'float32'), {
    code: 'TENSOR_DTYPE',
  })
})

test('the checked-in kernels are what their source assembles to', async () => {
  assert.equal(await readKernels(), await assembleKernels())
})
