import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { PetalsError } from '../../../src/base/errors.ts'
import { createBeamSampler } from '../../../src/sampling/beam-sampler.ts'
import { ConstraintCompiler } from '../../../src/sampling/grammar/compile.ts'
import { type Constraint, isConstraint } from '../../../src/sampling/grammar/constraint.ts'
import type { JsonObject } from '../../../src/sampling/grammar/json/json.ts'
import { Grammars } from '../../../src/sampling/grammar/grammars.ts'
import { TextConstraint } from '../../../src/sampling/grammar/text-constraint.ts'
import { SPECIAL_BYTE, createVocabulary } from '../../../src/sampling/grammar/tokens/vocabulary.ts'
import { checkOptions } from '../../../src/sampling/options/check.ts'
import { createSampler } from '../../../src/sampling/sampler.ts'
import { Workspace } from '../../../src/sampling/workspace.ts'

const NAMED = ['', '</s>', '{', '}', '"', 'a', ':', '1', '{"a":', '1}', ' ', '\n', ',', '2', '"a"', '}}', 'think', '>']
const END = 1
/** Tokens of NAMED, then a special one, and another with the bytes of "a". */
const SPECIAL = NAMED.length
const TWIN = SPECIAL + 1
const TOKENS = [
  ...NAMED.map((text, id) => (id === END ? special('</s>') : Buffer.from(text))),
  special('<call>'),
  Buffer.from('a'),
]
const VOCABULARY = createVocabulary(TOKENS, false)
const SCHEMA: Constraint = {
  kind: 'json_schema',
  schema: { type: 'object', properties: { a: { enum: [1, 12] } }, required: ['a'], additionalProperties: false },
}

function special(text: string): Uint8Array {
  return Buffer.concat([Buffer.of(SPECIAL_BYTE), Buffer.from(text)])
}

const id = (text: string): number => NAMED.indexOf(text)

function allowed(constraint: Constraint, answer: readonly number[], prompt: readonly number[] = []): number[] {
  const matcher = new TextConstraint(new Grammars(VOCABULARY), constraint, {
    promptLength: prompt.length,
    eosTokenIds: [END],
  })
  // More logits than tokens, as a padded head has.
  const logits = new Float32Array(TOKENS.length + 5)
  matcher.process(logits, [...prompt, ...answer])
  return [...logits.keys()].filter((token) => logits[token] === 0)
}

const texts = (...all: string[]): number[] => all.map(id).toSorted((a, b) => a - b)

describe('a choice of many texts', () => {
  test('lets through each of them, also where one begins another, and nothing else', () => {
    const compiler = new ConstraintCompiler()
    const all = Array.from({ length: 20_000 }, (_, i) => `option ${i.toString(36)}\u00e9`)
    const nested = Array.from({ length: 2000 }, (_, i) => 'x'.repeat(i + 1))
    const term = compiler.compile({ kind: 'choice', texts: [...all, ...nested, ...all.slice(0, 5)] })
    const isIn = (text: string): boolean => compiler.derivatives.after(term, Buffer.from(text)).nullable
    for (const text of [all[0]!, all[777]!, all.at(-1)!, 'x', nested[500]!, nested.at(-1)!])
      assert.ok(isIn(text), text.slice(0, 40))
    for (const text of ['', 'option ', all[777]!.slice(0, -1), `${all[777]}x`, `${nested.at(-1)}x`])
      assert.ok(!isIn(text), text.slice(0, 40))
  })
})

describe('the tokens that may come next', () => {
  test('are those that lead on, whatever their length, and none of the padding', () => {
    assert.deepEqual(allowed(SCHEMA, []), texts('{', '{"a":', ' ', '\n'))
    assert.deepEqual(allowed(SCHEMA, [id('{')]), texts('"', ' ', '\n', '"a"'))
    assert.deepEqual(allowed(SCHEMA, [id('{"a":')]), texts('1', '1}', ' ', '\n'))
    assert.deepEqual(allowed(SCHEMA, [id('{"a":'), id('1')]), texts('}', ' ', '\n', '2'))
  })

  test('are several where they have the same bytes', () => {
    assert.deepEqual(allowed(SCHEMA, [id('{'), id('"')]), [id('a'), TWIN])
  })

  test('include the end only where all has been written, and then nothing else', () => {
    assert.deepEqual(allowed(SCHEMA, [id('{"a":'), id('1}')]), [END])
  })

  test('follow from the answer alone, not from the prompt', () => {
    assert.deepEqual(allowed(SCHEMA, [id('{')], [id('}'), id('1'), SPECIAL]), allowed(SCHEMA, [id('{')]))
  })

  test('are none where the ids have left the constraint', () => {
    assert.deepEqual(allowed(SCHEMA, [id('}')]), [])
  })

  test('never include a special token but where a marker asks for it', () => {
    const free: Constraint = { kind: 'text', without: ['<call>'] }
    assert.ok(!allowed(free, []).includes(SPECIAL))
    assert.ok(allowed(free, []).includes(END))
    assert.deepEqual(allowed({ kind: 'marker', text: '<call>' }, []), [SPECIAL])
    const until: Constraint = { kind: 'sequence', parts: [{ kind: 'text', until: '<call>' }, SCHEMA] }
    assert.ok(allowed(until, [id('a'), id('}')]).includes(SPECIAL))
    assert.ok(!allowed(until, []).includes(END))
    assert.deepEqual(allowed(until, [id('a'), SPECIAL]), allowed(SCHEMA, []))
  })

  test('keep a space that the tokenizer drops from the beginning', () => {
    const dropping = new Grammars(createVocabulary(TOKENS, true))
    const matcher = new TextConstraint(dropping, { kind: 'choice', texts: ['a'] }, { promptLength: 0, eosTokenIds: [] })
    const logits = new Float32Array(TOKENS.length)
    matcher.process(logits, [])
    assert.deepEqual(
      [...logits.keys()].filter((token) => logits[token] === 0),
      [id('a'), id(' '), TWIN],
    )
  })
})

describe('a sampler with a constraint', () => {
  const workspace = new Workspace()
  workspace.grammars = new Grammars(VOCABULARY)
  const options = { maxNewTokens: 9, eosTokenIds: [END], constraint: SCHEMA }

  test('says of the token that completes the answer that it does', () => {
    const sample = createSampler(options, 0, workspace)
    const logits = Float32Array.from(TOKENS, (_, token) => -token)
    const begun = [id('{"a":')]
    assert.deepEqual(sample(logits, begun), { tokenId: id('1'), logprob: undefined })
    assert.deepEqual(sample(logits, [...begun, id('1')]), { tokenId: id('}'), logprob: undefined, complete: true })
    assert.deepEqual(sample(logits, [...begun, id('1'), id('}')]), { tokenId: END, logprob: undefined })
  })

  test('searches with beams within it', () => {
    const sample = createBeamSampler({ ...options, numBeams: 2 }, 0, workspace)
    const rows = [0, 1].map(() => Float32Array.from(TOKENS, (_, token) => -token / 10))
    const beams = [[id('{"a":')], [id('{"a":'), id('1')]].map((ids) => ({ ids, total: 0 }))
    const candidates = sample(rows, beams)
    const found = candidates.map(({ beam, tokenId, complete }) => [beam, NAMED[tokenId], complete])
    assert.deepEqual(found.slice(0, 2), [
      [1, '}', true],
      [0, '1', false],
    ])
  })

  test('needs the vocabulary, and goes with no processors of the caller', () => {
    assert.throws(() => createSampler(options, 0, new Workspace()), /tokenizer/)
    assert.throws(() => checkOptions({ constraint: SCHEMA, logitsProcessors: [() => {}] }), /logitsProcessors/)
    assert.throws(() => checkOptions({ constraint: { kind: 'xml' } as never }), /constraint is \{ kind: 'xml' \}/)
  })

  test('has an error that says so where other options leave no token', () => {
    const sample = createSampler({ ...options, suppressTokens: texts('}', ' ', '\n', '2') }, 0, workspace)
    assert.throws(() => sample(new Float32Array(TOKENS.length), [id('{"a":'), id('1')]), /leave no token/)
  })
})

test('what has no form of a constraint is none', () => {
  const not: unknown[] = [null, 'json', {}, { kind: 'regex' }, { kind: 'choice', texts: [] }, { kind: 'text' }]
  not.push({ kind: 'sequence', parts: [{ kind: 'x' }] }, { kind: 'json_schema', schema: [] })
  not.push({ kind: 'repeat', part: SCHEMA, min: -1 }, { kind: 'choice', texts: ['a', 1] })
  for (const value of not) assert.equal(isConstraint(value), false, JSON.stringify(value))
  let deep: Constraint = SCHEMA
  for (let i = 0; i < 100; i++) deep = { kind: 'any_of', options: [deep] }
  assert.equal(isConstraint(deep), false)
  assert.ok(isConstraint({ kind: 'repeat', part: { kind: 'sequence', parts: [SCHEMA] }, min: 0 }))
})

/** An object that is told from others by its kind. */
function tagged(kind: number): object {
  return { type: 'object', properties: { kind: { const: kind }, a: true }, required: ['kind'] }
}

/** The code of the error that a schema has, or `none`. */
function codeOf(schema: object): string {
  try {
    new ConstraintCompiler().compile({ kind: 'json_schema', schema: schema as JsonObject })
    return 'none'
  } catch (error) {
    return (error as PetalsError).code
  }
}

describe('what would take too long', () => {
  test('is refused: unions of unions, patterns that never come together, depths', () => {
    const wide = { anyOf: Array.from({ length: 40 }, (_, i) => ({ maximum: i })) }
    assert.equal(codeOf({ allOf: [wide, wide, wide] }), 'CONSTRAINT_TOO_LARGE')
    const never = ['^(a|b)*a(a|b){18}$', '^(a|b)*b(a|b){18}$', '^(a|b)*a(a|b){17}c$']
    assert.equal(codeOf({ allOf: never.map((pattern) => ({ type: 'string', pattern })) }), 'CONSTRAINT_TOO_LARGE')
    const many = { '^a.*b.*c.*d.*e': { type: 'string' }, 'x.*y.*z': {}, 'q.*r.*s.{20}': {} }
    assert.equal(codeOf({ patternProperties: many }), 'CONSTRAINT_TOO_LARGE')
    let deep: object = { type: 'integer' }
    for (let i = 0; i < 50_000; i++) deep = { items: deep }
    assert.equal(codeOf(deep), 'CONSTRAINT_TOO_LARGE')
  })

  test('is no pattern that RegExp would go back and forth for', () => {
    const name = `${'a'.repeat(64)}!`
    assert.equal(codeOf({ patternProperties: { '^(a+)+$': {} }, required: [name] }), 'none')
  })

  test('is no union of many that a property tells apart', () => {
    assert.equal(codeOf({ oneOf: Array.from({ length: 200 }, (_, i) => tagged(i)) }), 'none')
    assert.equal(codeOf({ oneOf: [1, 2, 3, 2].map((kind) => tagged(kind)) }), 'CONSTRAINT_UNSUPPORTED')
  })

  test('is no matter of large numbers', () => {
    const schema = { type: 'array', maxItems: 1e9, items: { type: 'string', minLength: 1e6, maxLength: 1e9 } }
    assert.equal(codeOf(schema), 'none')
  })
})
