import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../src/sampling/random.ts'
import { type Activations, WIRE_DTYPES, activationBytes, concatRows } from '../../src/tensor/activations.ts'
import { convert } from '../../src/tensor/convert.ts'
import { allFinite, allFiniteInPieces } from '../../src/tensor/finite.ts'
import { type Tensor, asFloat32, fromFloat32, sliceRows } from '../../src/tensor/tensor.ts'
import { decodeActivations, encodeActivations, encodeFinite } from '../../src/tensor/travel.ts'

function states(seed: number, ...shape: number[]): Tensor {
  const random = seededRandom(seed)
  const length = shape.reduce((product, dim) => product * dim, 1)
  return fromFloat32(
    Float32Array.from({ length }, () => (random() * 2 - 1) * 10 ** (random() * 4 - 2)),
    shape,
  )
}

/** What comes of some work, and how many turns the event loop had meanwhile. */
async function turnsOf<T>(work: Promise<T>): Promise<[T, number]> {
  let turns = 0
  setImmediate(() => turns++)
  return [await work, turns]
}

for (const wire of WIRE_DTYPES) {
  test(`what travels as ${wire} stands for values that travel as the same bytes`, async () => {
    for (const [seed, width] of [
      [1, 64],
      [2, 96],
      [3, 50],
      [4, 1],
    ] as const) {
      for (const from of ['float32', 'float16', 'bfloat16'] as const) {
        const values = convert(states(seed, 2, 7, width), from)
        const sent = await encodeActivations(values, wire)
        assert.equal(sent.data.byteLength, activationBytes(sent.dtype, sent.shape))
        assert.deepEqual(sent.shape, values.shape)
        assert.ok(allFinite(sent))
        const got = await decodeActivations(sent, 'float32')
        assert.deepEqual((await encodeActivations(got, wire)).data, sent.data)
        const narrow = await decodeActivations(sent, from)
        assert.deepEqual(narrow.data, convert(got, from).data)
      }
    }
  })

  test(`rows of ${wire} are cut and joined without a change`, async () => {
    const values = states(5, 9, 70)
    const sent = await encodeActivations(values, wire)
    const parts: Activations[] = []
    for (const [from, until] of [
      [0, 4],
      [4, 5],
      [5, 9],
    ] as const) {
      const part = sliceRows(sent, from, until)
      assert.deepEqual(part.data, (await encodeActivations(sliceRows(values, from, until), wire)).data)
      parts.push(part)
    }
    assert.deepEqual(concatRows(parts), { ...sent, data: new Uint8Array(sent.data) })
  })

  test(`NaN and infinities are found in what travels as ${wire}`, async () => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      const values = states(6, 3, 45)
      asFloat32(values)[2 * 45 + 44] = bad
      const sent = await encodeActivations(values, wire)
      assert.ok(!allFinite(sent))
      assert.ok(!asFloat32(await decodeActivations(sent, 'float32')).every(Number.isFinite))
      await assert.rejects(encodeFinite(values, wire, 'the test has'), { code: 'TENSOR_NONFINITE' })
    }
  })
}

test('values that a form cannot hold are refused by name, and are not taken for NaN', async () => {
  const large = fromFloat32(Float32Array.of(1, 70_000), [1, 2])
  await assert.rejects(encodeFinite(large, 'float16', 'the test has'), {
    code: 'WIRE_DTYPE',
    message: /too large for float16: take --wire-dtype bfloat16/,
  })
  for (const wire of ['float32', 'bfloat16', 'int8'] as const) await encodeFinite(large, wire, 'the test has')
})

test('the event loop has its turns while much is encoded, looked at and decoded; the result is the same', async () => {
  const [rows, width] = [2500, 1040]
  const values = states(8, rows, width)
  const [sent, encodeTurns] = await turnsOf(encodeActivations(values, 'int8'))
  const [isFinite, checkTurns] = await turnsOf(allFiniteInPieces(sent))
  const [got, decodeTurns] = await turnsOf(decodeActivations(sent, 'bfloat16'))
  assert.ok(isFinite)
  for (const turns of [encodeTurns, checkTurns, decodeTurns]) assert.ok(turns >= 1, `${turns} turns`)
  const last = sliceRows(values, rows - 1, rows)
  const alone = await encodeActivations(last, 'int8')
  assert.deepEqual(sliceRows(sent, rows - 1, rows).data, alone.data)
  assert.deepEqual(sliceRows(got, rows - 1, rows).data, (await decodeActivations(alone, 'bfloat16')).data)
})
