import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { type ModelConfig, parseConfig } from '../../../src/checkpoint/config/config.ts'
import { ropeKey, ropeAngles } from '../../../src/families/parts/rope.ts'

interface Reference {
  readonly id: string
  readonly config: object
  readonly maxLength: number
  readonly positions: readonly number[]
  readonly cos: readonly (readonly number[])[]
  readonly sin: readonly (readonly number[])[]
}

/** What the rotary embedding of transformers 5.17's Llama gives, in float32. */
const references = JSON.parse(readFileSync(join(import.meta.dirname, 'rope-reference.json'), 'utf8')) as Reference[]

describe('ropeAngles', () => {
  for (const { id, config, maxLength, positions, cos, sin } of references) {
    it(`agrees with transformers: ${id}`, () => {
      const table = ropeAngles(parseConfig(config, 'config.json').ropes[0]!, { maxLength, positions: maxLength })
      assert.equal(table.halfDim, 8)
      assert.equal(table.cos.length, maxLength * 8)
      for (const [i, position] of positions.entries()) {
        const row = (values: Float32Array) => values.subarray(position * 8, (position + 1) * 8)
        assertClose(row(table.cos), cos[i]!, `cos at ${position}`)
        assertClose(row(table.sin), sin[i]!, `sin at ${position}`)
      }
    })
  }

  it('covers a partly rotated head with angles of the rotated width', () => {
    const config = configOf({ rope_type: 'default', rope_theta: 10000, partial_rotary_factor: 0.5 })
    const table = ropeAngles(config.ropes[0]!, { maxLength: 4, positions: 4 })
    assert.equal(table.halfDim, 4)
    assertClose(table.cos.subarray(4, 8), [1, 0.1, 0.01, 0.001].map(Math.cos), 'cos at 1')
  })

  it('does not depend on how many positions it covers', () => {
    const config = configOf({ rope_type: 'dynamic', rope_theta: 10000, factor: 2 })
    const short = ropeAngles(config.ropes[0]!, { maxLength: 300, positions: 10 })
    const long = ropeAngles(config.ropes[0]!, { maxLength: 300, positions: 20 })
    assert.deepEqual(short.cos, long.cos.subarray(0, short.cos.length))
  })
})

describe('ropeKey', () => {
  const cases: [string, object, number, number, boolean][] = [
    ['default never depends on length', { rope_type: 'default' }, 10, 1000, true],
    ['dynamic within the trained length', { rope_type: 'dynamic', factor: 2 }, 10, 64, true],
    ['dynamic beyond it', { rope_type: 'dynamic', factor: 2 }, 65, 66, false],
    ['longrope within the original length', longrope(), 10, 32, true],
    ['longrope across it', longrope(), 32, 33, false],
    ['longrope beyond it', longrope(), 33, 1000, true],
  ]
  for (const [id, rope, first, second, equal] of cases) {
    it(`is ${equal ? 'equal' : 'different'} exactly where the tables are: ${id}`, () => {
      const config = configOf({ rope_theta: 10000, ...rope })
      assert.equal(ropeKey(config.ropes, first) === ropeKey(config.ropes, second), equal)
      const cos = (maxLength: number) => ropeAngles(config.ropes[0]!, { maxLength, positions: 5 }).cos.join()
      assert.equal(cos(first) === cos(second), equal)
    })
  }
})

function longrope(): object {
  return {
    rope_type: 'longrope',
    original_max_position_embeddings: 32,
    short_factor: Array(8).fill(1),
    long_factor: Array(8).fill(2),
  }
}

function configOf(rope: object): ModelConfig {
  return parseConfig(
    {
      model_type: 'llama',
      hidden_size: 64,
      intermediate_size: 96,
      vocab_size: 64,
      num_hidden_layers: 1,
      num_attention_heads: 4,
      max_position_embeddings: 64,
      rope_parameters: rope,
    },
    'config.json',
  )
}

function assertClose(actual: Float32Array, expected: readonly number[], what: string): void {
  assert.equal(actual.length, expected.length)
  for (const [i, wanted] of expected.entries()) {
    assert.ok(Math.abs(actual[i]! - wanted) < 1e-6, `${what}, pair ${i}: ${actual[i]} for ${wanted}`)
  }
}
