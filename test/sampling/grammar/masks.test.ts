import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConstraintCompiler } from '../../../src/sampling/grammar/compile.ts'
import type { Constraint } from '../../../src/sampling/grammar/constraint.ts'
import { Masks } from '../../../src/sampling/grammar/tokens/masks.ts'
import { keepOnly } from '../../../src/sampling/grammar/tokens/token-set.ts'
import { bytesOf, sizeOf } from '../../../src/sampling/grammar/tokens/vocabulary.ts'
import { seededRandom } from '../../../src/sampling/random.ts'
import { VOCABULARY } from './support.ts'

const SEED = 5
const WALKS = 5
const STEPS = 40

const CONSTRAINTS: readonly Constraint[] = [
  { kind: 'json_object' },
  {
    kind: 'json_schema',
    schema: { type: 'array', items: { type: 'string', minLength: 2, maxLength: 5 }, maxItems: 4 },
  },
  { kind: 'json_schema', schema: { type: 'string', pattern: '^(a|ab|b ?)*[a-z]{3,6}( the)?$' } },
  { kind: 'json_schema', schema: { type: 'number', minimum: -2.5, maximum: 1000, multipleOf: 0.25 } },
  {
    kind: 'json_schema',
    schema: {
      type: 'object',
      properties: {
        a: { enum: ['one', 'only', 12, null] },
        ab: { type: 'string', maxLength: 12 },
        b: { type: 'boolean' },
      },
      additionalProperties: { anyOf: [{ type: 'integer' }, { $ref: '#' }] },
    },
  },
  { kind: 'regex', pattern: '([A-Z][a-zé]+ ?){2,30}[.!]?' },
  {
    kind: 'sequence',
    parts: [
      { kind: 'text', until: '</a>' },
      { kind: 'choice', texts: ['yes', 'yet', 'no'] },
    ],
  },
  { kind: 'text', without: [' the ', 'of'] },
  { kind: 'choice', texts: ['a', 'ab', 'abc', 'the', 'they', 'then é', 'then è', 'of', 'of the whale'] },
  { kind: 'json_schema', schema: { type: 'string', minLength: 3, maxLength: 9 } },
]

for (const constraint of CONSTRAINTS) {
  test(`a mask has each token whose bytes lead on, and no other: ${JSON.stringify(constraint)} (seed ${SEED})`, () => {
    const compiler = new ConstraintCompiler()
    const { terms, derivatives } = compiler
    const masks = new Masks(terms, derivatives, VOCABULARY)
    const random = seededRandom(SEED)
    const start = compiler.compile(constraint)
    for (let walk = 0, state = start; walk < WALKS; walk++, state = start) {
      for (let step = 0; step < STEPS && state.op !== 'epsilon'; step++) {
        const logits = new Float32Array(sizeOf(VOCABULARY))
        keepOnly(logits, masks.of(state))
        const masked = [...logits.keys()].filter((id) => logits[id] === 0)
        const leading = [...logits.keys()].filter((id) => {
          const bytes = bytesOf(VOCABULARY, id)
          return bytes.length > 0 && derivatives.after(state, bytes).op !== 'empty'
        })
        assert.deepEqual(masked, leading, `step ${step}`)
        assert.ok(masked.length > 0 || state.nullable, `step ${step} is a dead end`)
        if (masked.length === 0) break
        state = derivatives.after(state, bytesOf(VOCABULARY, masked[Math.floor(random() * masked.length)]!))
      }
    }
  })
}
