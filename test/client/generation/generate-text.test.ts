import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Tokenizer } from '../../../src/checkpoint/tokenizer/tokenizer.ts'
import { generate } from '../../../src/client/generation/generate.ts'
import type { ResolvedOptions } from '../../../src/sampling/options/options.ts'
import { ScriptSource, collect } from './support.ts'

const VOCABULARY_SIZE = 4096
const BOS = 0
const EOS = 1
const TEXT = 'Grüße, 世界! 👩‍👩‍👧 bye'

let tokenizer: Tokenizer
let ids: number[]
before(async () => {
  tokenizer = await Tokenizer.load(join(import.meta.dirname, '../../../models/demo'))
  ids = await tokenizer.encode(TEXT, { addSpecialTokens: false })
})
after(() => tokenizer.close())

async function run(script: readonly number[], options: Partial<ResolvedOptions> = {}) {
  const source = new ScriptSource(script, VOCABULARY_SIZE)
  const stream = tokenizer.tokenStream({ skipSpecialTokens: true })
  const { chunks, result } = await collect(generate(source, [BOS], { maxNewTokens: script.length, ...options }, stream))
  assert.equal(chunks.map(({ text }) => text).join(''), result.text)
  assert.deepEqual(
    chunks.flatMap(({ tokenIds }) => tokenIds),
    result.tokenIds,
  )
  return { pieces: chunks.map(({ text }) => text), result }
}

test('a text of many bytes per character comes in whole characters', async () => {
  const { pieces, result } = await run([...ids, EOS], { eosTokenIds: [EOS] })
  assert.equal(result.text, TEXT)
  assert.equal(result.finishReason, 'eos')
  assert.ok(pieces.includes(''), 'some character takes several tokens')
  for (const piece of pieces) assert.ok(piece.isWellFormed() && !piece.includes('\uFFFD'), piece)
})

test('a text that ends within a character says so at its end', async () => {
  const cutIds = (await tokenizer.encode('ok 世', { addSpecialTokens: false })).slice(0, -1)
  const { pieces, result } = await run(cutIds)
  assert.equal(result.text, await tokenizer.decode(cutIds))
  assert.match(pieces.at(-1)!, /\uFFFD$/)
  assert.equal(result.finishReason, 'length')
})

test('a stop string of several tokens ends the text', async () => {
  const { result } = await run(ids, { stopStrings: ['never', '界!'] })
  assert.equal(result.text, 'Grüße, 世')
  assert.equal(result.finishReason, 'stop')
  assert.ok(result.tokenIds.length < ids.length)
})

test('a stop string after the end changes nothing', async () => {
  const { result } = await run(ids, { stopStrings: ['bye!'] })
  assert.equal(result.text, TEXT)
  assert.equal(result.finishReason, 'length')
})
