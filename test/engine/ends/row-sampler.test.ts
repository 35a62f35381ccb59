import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RowSampler } from '../../../src/engine/ends/row-sampler.ts'
import type { Constraint } from '../../../src/sampling/grammar/constraint.ts'
import { createVocabulary } from '../../../src/sampling/grammar/tokens/vocabulary.ts'

const TOKENS = ['a', 'b', 'ab', ''].map((text) => Buffer.from(text))
const END = 3

function openSampler(): { sampler: RowSampler; open: (textId: number, constraint?: Constraint) => void } {
  const sampler = new RowSampler()
  sampler.obey({ type: 'vocabulary', vocabulary: createVocabulary(TOKENS, false), isEarly: false })
  const open = (textId: number, constraint?: Constraint): void => {
    const options = { maxNewTokens: 9, eosTokenIds: [END], ...(constraint !== undefined && { constraint }) }
    sampler.obey({ type: 'open-text', textId, chooser: 0, options, ids: [0] })
  }
  return { sampler, open }
}

function choose(sampler: RowSampler, textId: number, ...logits: number[]): unknown {
  return sampler.answer({ type: 'choose', taskId: 1, textId }, Float32Array.from(logits), TOKENS.length)
}

test('what a constraint lets through is found once before each token, until the text is complete', () => {
  const { sampler, open } = openSampler()
  open(1, { kind: 'regex', pattern: 'b+a' })
  open(2)
  assert.deepEqual([sampler.prepareOne(), sampler.prepareOne()], [true, false], 'only for texts with a constraint')
  assert.deepEqual(choose(sampler, 1, 3, 2, 1, 0), { tokenId: 1, logprob: undefined })
  assert.deepEqual([sampler.prepareOne(), sampler.prepareOne()], [true, false])
  assert.deepEqual(choose(sampler, 2, 3, 2, 1, 0), { tokenId: 0, logprob: undefined })
  assert.deepEqual(choose(sampler, 1, 3, 2, 4, 0), { tokenId: 0, logprob: undefined, complete: true })
  assert.equal(sampler.prepareOne(), false, 'nothing can follow')
})

test('nothing is prepared for a text that is closed, or whose token was asked for before', () => {
  const { sampler, open } = openSampler()
  open(1, { kind: 'choice', texts: ['abab'] })
  open(2, { kind: 'choice', texts: ['abab'] })
  sampler.obey({ type: 'close-text', textId: 1 })
  choose(sampler, 2, 0, 0, 1, 0)
  sampler.obey({ type: 'close-text', textId: 2 })
  assert.equal(sampler.prepareOne(), false)
})

test('what goes wrong ahead of time is told when the token is asked for', () => {
  const { sampler, open } = openSampler()
  open(1, { kind: 'regex', pattern: '(a' })
  assert.equal(sampler.prepareOne(), true)
  assert.throws(() => choose(sampler, 1, 0, 0, 0, 0), { code: /CONSTRAINT_/ })
})
