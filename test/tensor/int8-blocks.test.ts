import assert from 'node:assert/strict'
import { test } from 'node:test'
import { areSoundRows, packRows, packedRowBytes, unpackRows } from '../../src/tensor/int8-blocks.ts'
import { seededRandom } from '../../src/sampling/random.ts'

const WIDTHS = [1, 2, 31, 32, 33, 64, 100, 256, 70_000]

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}

function pack(values: Float32Array, width: number): Uint8Array {
  const packed = new Uint8Array((values.length / width) * packedRowBytes(width))
  packRows(bytesOf(values), width, packed)
  return packed
}

function unpack(packed: Uint8Array, width: number): Float32Array {
  const values = new Float32Array((packed.byteLength / packedRowBytes(width)) * width)
  unpackRows(packed, width, bytesOf(values))
  return values
}

/** The float32 of these upper 16 bits. */
function ofUpper(bits: number): number {
  return new Float32Array(Uint32Array.of(bits * 65_536).buffer)[0]!
}

/** A float32 to bfloat16, to nearest even, from the definition: its two neighbours, and the nearer one. */
function nearestBfloat16(x: number): number {
  const bits = new Uint32Array(Float32Array.of(x).buffer)[0]!
  const low = Math.floor(bits / 65_536)
  const [below, above] = [x - ofUpper(low), ofUpper(low + 1) - x]
  if (below === above) return ofUpper(low + (low % 2))
  return ofUpper(below < above ? low : low + 1)
}

/** What the codec is by its description, one block at a time. */
function described(block: readonly number[]): { scale: number; codes: number[] } {
  const largest = Math.max(...block.map(Math.abs))
  const rounded = nearestBfloat16(Math.fround(largest / 127))
  const scale = rounded < 2 ** -126 ? 0 : rounded
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale)
  return { scale, codes: block.map((x) => nearestEven(Math.fround(x * inverse)) + 0) }
}

function nearestEven(x: number): number {
  const low = Math.floor(x)
  if (x - low === 0.5) return low + (Math.abs(low) % 2)
  return Math.round(x)
}

/** Rows of values of very different sizes, with outliers, zeros of both signs, and numbers at the format's edges. */
function rowsOf(seed: number, width: number, rows: number): Float32Array {
  const random = seededRandom(seed)
  const most = 3.4028234663852886e38
  const edges = [0, -0, 1e-45, -1e-40, 2 ** -126, 127 * 2 ** -126, most, -most]
  const values = new Float32Array(width * rows)
  for (let row = 0; row < rows; row++) {
    const size = 10 ** (random() * 80 - 42)
    for (let i = 0; i < width; i++) {
      const kind = random()
      const value = (random() * 2 - 1) * size * (kind < 0.02 ? 1000 : 1)
      values[row * width + i] = kind > 0.99 ? edges[Math.floor(random() * edges.length)]! : value
    }
  }
  return values.map((value) => (Number.isFinite(value) ? value : 1))
}

for (const width of WIDTHS) {
  const rows = width > 1000 ? 2 : 20

  test(`rows of ${width}: the bytes are as described, what they stand for is near, and packs to the same again`, () => {
    for (let seed = 1; seed <= 3; seed++) {
      const values = rowsOf(seed, width, rows)
      const packed = pack(values, width)
      assert.ok(areSoundRows(packed, width))
      const back = unpack(packed, width)
      const view = new DataView(packed.buffer)
      for (let row = 0, at = 0; row < rows; row++) {
        for (let first = 0; first < width; first += 32) {
          const count = Math.min(32, width - first)
          const block = [...values.subarray(row * width + first, row * width + first + count)]
          const { scale, codes } = described(block)
          const bits = new Uint32Array(Float32Array.of(scale).buffer)[0]! >>> 16
          const where = `row ${row}, from ${first} on, of seed ${seed}`
          assert.equal(view.getUint16(at, true), bits, `the scale of ${where}`)
          codes.forEach((code, i) => {
            const stands = back[row * width + first + i]!
            // Half a level, of scales that are themselves off by one part in 256 at most.
            const isNear = scale === 0 || Math.abs(stands - block[i]!) <= 0.5001 * scale
            if (view.getInt8(at + 2 + i) !== code || stands !== code * scale || !isNear)
              assert.fail(`${where}: ${block[i]} is ${view.getInt8(at + 2 + i)} and stands for ${stands}`)
          })
          at += 2 + count
        }
      }
      assert.deepEqual(pack(back, width), packed)
    }
  })
}

test('a value that is not finite makes its block NaN, whatever lies beside it, and no other block', () => {
  for (const bad of [NaN, Infinity, -Infinity]) {
    for (const at of [0, 31, 32, 47]) {
      const values = rowsOf(7, 48, 3)
      values[48 + at] = bad
      const packed = pack(values, 48)
      assert.ok(!areSoundRows(packed, 48), `${bad} at ${at}`)
      const back = unpack(packed, 48)
      const spoilt = [...back].flatMap((value, i) => (Number.isFinite(value) ? [] : [i]))
      const [from, until] = at < 32 ? [48, 80] : [80, 96]
      assert.deepEqual(
        spoilt,
        Array.from({ length: until - from }, (_, i) => from + i),
      )
      assert.ok(back.subarray(from, until).every(Number.isNaN))
    }
  }
})

test('rows that cannot have been packed are not sound, by their scales or by their codes', () => {
  const width = 40
  const good = pack(rowsOf(3, width, 4), width)
  const rowBytes = packedRowBytes(width)
  const spoil = (at: number, ...bytes: number[]): Uint8Array => {
    const spoilt = good.slice()
    spoilt.set(bytes, at)
    return spoilt
  }
  const scales = [0x7fc0, 0xffc0, 0x7f81, 0x7f80, 0xff80, 0x7c02, 0x7f7f, 0x8000, 0xbf80, 0x0001, 0x007f]
  // In the last row, of the block of 32 and of the one of 8.
  for (const [at, count] of [
    [3 * rowBytes, 32],
    [3 * rowBytes + 34, 8],
  ] as const) {
    for (const scale of scales) assert.ok(!areSoundRows(spoil(at, scale & 0xff, scale >>> 8), width), `scale ${scale}`)
    assert.ok(!areSoundRows(spoil(at, 0, 0), width), 'codes without a scale')
    const codes = (...first: number[]): number[] => [...first, ...Array.from({ length: count - first.length }, () => 3)]
    for (const scale of [0x0080, 0x3f80, 0x7c01]) {
      assert.ok(areSoundRows(spoil(at, scale & 0xff, scale >>> 8, ...codes(127)), width))
      assert.ok(areSoundRows(spoil(at, scale & 0xff, scale >>> 8, ...codes(0, 0x81)), width))
      assert.ok(!areSoundRows(spoil(at, scale & 0xff, scale >>> 8, ...codes(127, 0x80)), width), 'a code of -128')
      assert.ok(!areSoundRows(spoil(at, scale & 0xff, scale >>> 8, ...codes(126)), width), 'no code of 127')
    }
  }
  assert.ok(areSoundRows(new Uint8Array(rowBytes), width), 'zeros')
})
