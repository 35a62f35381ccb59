import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import ort from 'onnxruntime-node'
import { attention, type Heads } from '../../src/graph/attention.ts'
import { Graph } from '../../src/graph/builder.ts'
import { encodeModel } from '../../src/graph/encode.ts'
import { lowerAttention } from '../../src/graph/lowering.ts'
import { randomFloats } from './support.ts'

const ROWS = 2
const TOKENS = 7
const CAPACITY = 12

const cases: { id: string; heads: Heads; rotary: 'inside' | 'outside'; cacheHeadDim: number }[] = [
  {
    id: 'rotary inside',
    rotary: 'inside',
    cacheHeadDim: 16,
    heads: { numHeads: 4, numKvHeads: 2, headDim: 16, rotaryDim: 16 },
  },
  {
    id: 'part of a head rotated inside',
    rotary: 'inside',
    cacheHeadDim: 32,
    heads: { numHeads: 2, numKvHeads: 1, headDim: 32, rotaryDim: 16 },
  },
  {
    id: 'padded to a head that is rotated inside',
    rotary: 'inside',
    cacheHeadDim: 48,
    heads: { numHeads: 2, numKvHeads: 1, headDim: 44, rotaryDim: 32 },
  },
  {
    id: 'half of a small head rotated outside',
    rotary: 'outside',
    cacheHeadDim: 16,
    heads: { numHeads: 4, numKvHeads: 2, headDim: 16, rotaryDim: 8 },
  },
  {
    id: 'head of 24 rotated outside',
    rotary: 'outside',
    cacheHeadDim: 24,
    heads: { numHeads: 2, numKvHeads: 2, headDim: 24, rotaryDim: 16 },
  },
  {
    id: 'padded and rotated outside',
    rotary: 'outside',
    cacheHeadDim: 24,
    heads: { numHeads: 4, numKvHeads: 2, headDim: 20, rotaryDim: 20 },
  },
  {
    id: 'padded and partly rotated outside',
    rotary: 'outside',
    cacheHeadDim: 16,
    heads: { numHeads: 3, numKvHeads: 1, headDim: 10, rotaryDim: 4 },
  },
]

describe('attention', () => {
  for (const { id, heads, rotary, cacheHeadDim } of cases) {
    it(`is causal attention of grouped, rotated heads: ${id}`, async () => {
      const lowering = lowerAttention({ device: 'cpu', dtype: 'float32' }, heads)
      assert.deepEqual([lowering.rotary, lowering.cacheHeadDim], [rotary, cacheHeadDim])

      const query = randomFloats(1, ROWS * TOKENS * heads.numHeads * heads.headDim)
      const key = randomFloats(2, ROWS * TOKENS * heads.numKvHeads * heads.headDim)
      const value = randomFloats(3, key.length)
      const angles = randomFloats(4, (CAPACITY * heads.rotaryDim) / 2)
      const output = await runGraph(heads, query, key, value, angles)
      assert.equal(output.length, query.length)
      const expected = referenceAttention(heads, query, key, value, angles)
      for (const [i, wanted] of expected.entries()) {
        assert.ok(Math.abs(output[i]! - wanted) < 1e-5, `element ${i}: ${output[i]} for ${wanted}`)
      }
    })
  }
})

async function runGraph(
  heads: Heads,
  query: Float32Array,
  key: Float32Array,
  value: Float32Array,
  angles: Float32Array,
): Promise<Float32Array> {
  const lowering = lowerAttention({ device: 'cpu', dtype: 'float32' }, heads)
  const g = new Graph('test')
  const { numHeads, numKvHeads, headDim, rotaryDim } = heads
  const cache = ['rows', numKvHeads, 'capacity', lowering.cacheHeadDim]
  const input = (name: string, channels: number) => g.input(name, 'float32', ['rows', 'tokens', channels])
  const { output } = attention(
    g,
    lowering,
    heads,
    {
      query: input('query', numHeads * headDim),
      key: input('key', numKvHeads * headDim),
      value: input('value', numKvHeads * headDim),
    },
    {
      pastKey: g.input('past_key', 'float32', cache),
      pastValue: g.input('past_value', 'float32', cache),
      seqlensK: g.input('seqlens_k', 'int32', ['rows']),
      totalSequenceLength: g.input('total_sequence_length', 'int32', [1]),
      rotary: {
        cos: g.input('cos', 'float32', ['positions', rotaryDim / 2]),
        sin: g.input('sin', 'float32', ['positions', rotaryDim / 2]),
      },
      positionIds: lowering.rotary === 'outside' ? g.input('position_ids', 'int64', ['rows', 'tokens']) : undefined,
    },
  )
  g.output('output', output)

  const session = await ort.InferenceSession.create(encodeModel(g, new Map()), { graphOptimizationLevel: 'basic' })
  const pastShape = [ROWS, numKvHeads, CAPACITY, lowering.cacheHeadDim]
  const past = () => float(new Float32Array(pastShape.reduce((a, b) => a * b)), pastShape)
  const feeds: Record<string, ort.Tensor> = {
    query: float(query, [ROWS, TOKENS, numHeads * headDim]),
    key: float(key, [ROWS, TOKENS, numKvHeads * headDim]),
    value: float(value, [ROWS, TOKENS, numKvHeads * headDim]),
    past_key: past(),
    past_value: past(),
    seqlens_k: new ort.Tensor('int32', new Int32Array(ROWS).fill(TOKENS - 1), [ROWS]),
    total_sequence_length: new ort.Tensor('int32', Int32Array.of(TOKENS), [1]),
    cos: float(angles.map(Math.cos), [CAPACITY, rotaryDim / 2]),
    sin: float(angles.map(Math.sin), [CAPACITY, rotaryDim / 2]),
  }
  if (lowering.rotary === 'outside') {
    const ids = BigInt64Array.from({ length: ROWS * TOKENS }, (_, i) => BigInt(i % TOKENS))
    feeds['position_ids'] = new ort.Tensor('int64', ids, [ROWS, TOKENS])
  }
  return (await session.run(feeds))['output']!.data as Float32Array
}

function float(data: Float32Array, shape: number[]): ort.Tensor {
  return new ort.Tensor('float32', data, shape)
}

/** The formula, one query at a time in float64; `angles` [positions, rotaryDim / 2]. */
function referenceAttention(
  { numHeads, numKvHeads, headDim, rotaryDim }: Heads,
  query: Float32Array,
  key: Float32Array,
  value: Float32Array,
  angles: Float32Array,
): number[] {
  const half = rotaryDim / 2
  const vector = (x: Float32Array, heads: number, row: number, position: number, head: number) => {
    const start = ((row * TOKENS + position) * heads + head) * headDim
    return [...x.subarray(start, start + headDim)]
  }
  const rotated = (x: number[], position: number) =>
    x.map((own, channel) => {
      if (channel >= rotaryDim) return own
      const angle = angles[position * half + (channel % half)]!
      const partner = channel < half ? -x[channel + half]! : x[channel - half]!
      return own * Math.cos(angle) + partner * Math.sin(angle)
    })
  const output: number[] = []
  for (let row = 0; row < ROWS; row++) {
    for (let position = 0; position < TOKENS; position++) {
      for (let head = 0; head < numHeads; head++) {
        const kvHead = Math.floor(head / (numHeads / numKvHeads))
        const q = rotated(vector(query, numHeads, row, position, head), position)
        const weights = Array.from({ length: position + 1 }, (_, past) => {
          const k = rotated(vector(key, numKvHeads, row, past, kvHead), past)
          return Math.exp(q.reduce((sum, x, i) => sum + x * k[i]!, 0) / Math.sqrt(headDim))
        })
        const total = weights.reduce((a, b) => a + b)
        const values = weights.map((_, past) => vector(value, numKvHeads, row, past, kvHead))
        for (let channel = 0; channel < headDim; channel++) {
          output.push(weights.reduce((sum, weight, past) => sum + (weight / total) * values[past]![channel]!, 0))
        }
      }
    }
  }
  return output
}
