import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import type { LocalSwarm } from '../../src/cli/process/local-swarm.ts'
import { resultOf } from '../../src/client/generation/continuations.ts'
import type { GenerationResult } from '../../src/client/generation/result.ts'
import { AutoDistributedModelForCausalLM } from '../../src/client/model/model.ts'
import { PromptCache } from '../../src/client/prompt-cache/prompt-cache.ts'
import type { Constraint } from '../../src/sampling/grammar/constraint.ts'
import type { JsonObject } from '../../src/sampling/grammar/json/json.ts'
import type { GenerationOptions } from '../../src/sampling/options/options.ts'
import { DEMO, startProcesses } from './kit.ts'

const PROMPT = 'The captain of the ship is '
const SCHEMA = {
  type: 'object',
  properties: {
    name: { type: 'string', minLength: 3, maxLength: 12 },
    age: { type: 'integer', minimum: 18, maximum: 99 },
    ranks: { type: 'array', items: { enum: ['mate', 'captain'] }, minItems: 1, maxItems: 3 },
  },
  required: ['name', 'age', 'ranks'],
  additionalProperties: false,
}
const CONSTRAINT: Constraint = { kind: 'json_schema', schema: SCHEMA }
const OPTIONS: GenerationOptions = { constraint: CONSTRAINT, maxNewTokens: 160 }
const isValid = new Ajv2020().compile(SCHEMA)

let swarm: LocalSwarm
let model: AutoDistributedModelForCausalLM
before(async () => {
  swarm = await startProcesses({
    model: DEMO,
    spans: [
      [0, 4],
      [0, 4],
      [4, 8],
    ],
    threads: 1,
    extraArgs: ['--attn-cache-tokens', '8192'],
  })
  model = await AutoDistributedModelForCausalLM.fromPretrained(DEMO, { bootstrap: [swarm.bootstrap], threads: 1 })
})
after(async () => {
  await model?.close()
  await swarm?.stop()
})

function check(...results: readonly GenerationResult[]): void {
  for (const { text, finishReason } of results) {
    assert.equal(finishReason, 'stop', text)
    assert.ok(isValid(JSON.parse(text)), text)
  }
}

function refused(constraint: Constraint, code: string, named: RegExp): Promise<void> {
  return assert.rejects(
    model.generate(PROMPT, { constraint }),
    (error: Error & { code?: string }) => error.code === code && named.test(error.message),
  )
}

describe('a constraint', () => {
  test('holds for the likeliest tokens, for draws, for texts of a batch and for beams', async () => {
    check(await model.generate(PROMPT, OPTIONS))
    const draws = await model.generate([PROMPT, 'Once '], {
      ...OPTIONS,
      temperature: 1,
      seed: 1,
      numReturnSequences: 3,
    })
    check(...draws)
    assert.ok(new Set(draws.map(({ text }) => text)).size > 3)
    check(...(await model.generate([PROMPT], { ...OPTIONS, numBeams: 3, numReturnSequences: 2 })))
  })

  test('ends a text without a step for an EOS token, which the model may lack', async () => {
    const whole = await model.generate(PROMPT, OPTIONS)
    const without = await model.generate(PROMPT, { ...OPTIONS, eosTokenIds: [] })
    assert.deepEqual(without.tokenIds, whole.tokenIds)
    const pieces: string[] = []
    for await (const { text } of model.stream(PROMPT, OPTIONS)) pieces.push(text)
    assert.equal(pieces.join(''), whole.text)
  })

  test('is kept by texts of different forms that are written at the same time', async () => {
    const [one, two, free] = await Promise.all([
      model.generate(PROMPT, { ...OPTIONS, temperature: 1, seed: 4 }),
      model.generate(PROMPT, { constraint: { kind: 'regex', pattern: '[A-Z][a-z]{2,9} \\d\\d' }, maxNewTokens: 40 }),
      model.generate(PROMPT, { maxNewTokens: 30 }),
    ])
    check(one)
    assert.match(two.text, /^[A-Z][a-z]{2,9} \d\d$/)
    assert.equal(free.finishReason, 'length')
  })

  test('is a matter of the answer where a session holds other tokens before', async () => {
    await using session = model.inferenceSession({ maxLength: 500 })
    const ids = await model.encode(PROMPT)
    for (let i = 0; i < 2; i++) {
      const [result] = await session.generateTexts(ids, OPTIONS)
      check(result!)
    }
  })

  test('holds in sessions of a prompt cache, and for texts after a prompt that was read', async () => {
    await using cache = new PromptCache(model)
    const ids = await model.encode(PROMPT)
    for (let i = 0; i < 2; i++) check(await resultOf(cache.stream(ids, OPTIONS)))
    await using session = model.inferenceSession({ maxLength: 300 })
    check(await resultOf(session.generateAfter(await session.read(ids), OPTIONS)))
  })

  test('that cannot be enforced is refused before anything is computed', async () => {
    await refused(
      { kind: 'json_schema', schema: { properties: { a: { not: {} } } } },
      'CONSTRAINT_UNSUPPORTED',
      /not at #\/properties\/a/,
    )
    await refused({ kind: 'json_schema', schema: false }, 'CONSTRAINT_UNSATISFIABLE', /#/)
    let deep: JsonObject = { type: 'integer' }
    for (let i = 0; i < 100_000; i++) deep = { items: deep }
    await refused({ kind: 'json_schema', schema: deep }, 'CONSTRAINT_TOO_LARGE', /deeper than/)
    await refused({ kind: 'regex', pattern: '\\bx' }, 'CONSTRAINT_UNSUPPORTED', /\\b/)
  })

  test('holds on when a server is killed in the middle of the answer', async () => {
    const options = { ...OPTIONS, temperature: 1, seed: 9 }
    const expected = await model.generate(PROMPT, options)
    let route: string[] = []
    const lost: string[] = []
    model.on('route', (hops) => (route = hops.map(({ peerId }) => peerId)))
    model.on('recovery', (recovery) => lost.push(...recovery.lost))
    const ids: number[] = []
    let text = ''
    let killed: string | undefined
    for await (const chunk of model.stream(PROMPT, options)) {
      ids.push(...chunk.tokenIds)
      text += chunk.text
      if (ids.length !== 8) continue
      killed = route[0]!
      swarm.servers.find(({ peerId }) => peerId === killed)!.process.kill('SIGKILL')
    }
    assert.deepEqual(ids, expected.tokenIds)
    assert.ok(isValid(JSON.parse(text)), text)
    // On a busy machine a living server may be given up as well.
    assert.equal(lost.filter((peerId) => peerId === killed).length, 1)
  })
})
