import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test, type TestContext } from 'node:test'
import { Tokenizer } from '../../../src/checkpoint/tokenizer/tokenizer.ts'
import { seededRandom, temporaryFolder } from '../write.ts'

const MODELS = join(import.meta.dirname, '../../../models')
const DEMO = join(MODELS, 'demo')
const MODULE = join(import.meta.dirname, '../../../src/checkpoint/tokenizer/tokenizer.ts')
const BOS = 0
const EOS = 1

interface Golden {
  greedy: { prompt: string; input_ids: number[]; greedy_ids: number[]; text: string }[]
}

const golden = JSON.parse(await readFile(join(MODELS, 'demo-golden.json'), 'utf8')) as Golden

let tokenizer: Tokenizer
before(async () => {
  tokenizer = await Tokenizer.load(DEMO)
})
after(() => tokenizer.close())

for (const { prompt, input_ids: inputIds, greedy_ids: greedyIds, text } of golden.greedy) {
  test(`encodes and decodes as the reference: ${prompt}`, async () => {
    assert.deepEqual(await tokenizer.encode(prompt), inputIds)
    assert.deepEqual(await tokenizer.encode(prompt, { addSpecialTokens: false }), inputIds.slice(1))
    assert.equal(await tokenizer.decode(greedyIds, { skipSpecialTokens: true }), text)
  })
}

test('decoding touches no spaces before punctuation', async () => {
  const text = "a , b . don 't ? it 's ! we 've"
  assert.equal(await tokenizer.decode(await tokenizer.encode(text, { addSpecialTokens: false })), text)
})

test('special tokens are decoded unless they are skipped, nothing and unknown ids are nothing', async () => {
  const ids = await tokenizer.encode('Union')
  assert.equal(await tokenizer.decode([...ids, EOS]), '<|begin_of_text|>Union<|end_of_text|>')
  assert.equal(await tokenizer.decode([...ids, EOS], { skipSpecialTokens: true }), 'Union')
  assert.equal(await tokenizer.decode([]), '')
  assert.equal(await tokenizer.decode([BOS, EOS], { skipSpecialTokens: true }), '')
  assert.equal(await tokenizer.decode([999_999, ...ids, -1], { skipSpecialTokens: true }), 'Union')
})

test('a long text is encoded as its parts are, and what comes meanwhile does not wait for it', async () => {
  const part = ' and so it was'.repeat(1000)
  const order: string[] = []
  const long = tokenizer.encode(part.repeat(20), { addSpecialTokens: false })
  const told = long.then(() => order.push('long'))
  const short = await tokenizer.encode(part, { addSpecialTokens: false })
  order.push('short')
  await told
  assert.deepEqual(order, ['short', 'long'])
  assert.ok(
    (await long).join() ===
      Array.from({ length: 20 }, () => short)
        .flat()
        .join(),
  )
})

test('the empty text is the BOS alone', async () => {
  assert.deepEqual(await tokenizer.encode(''), [BOS])
  assert.deepEqual(await tokenizer.encode('', { addSpecialTokens: false }), [])
})

const MULTIBYTE = 'Grüße, 世界! 👩‍👩‍👧 🎉🇪🇺 — ﷽ \uFEFF नमस्ते\n\ttab'

test('a text of many scripts streams token by token without a split character', async () => {
  const ids = await tokenizer.encode(MULTIBYTE, { addSpecialTokens: false })
  const stream = tokenizer.tokenStream()
  const pieces: string[] = []
  for (const id of ids) pieces.push(await stream.push([id]))
  assert.equal(pieces.join(''), MULTIBYTE)
  for (const piece of pieces) assert.ok(piece.isWellFormed() && !piece.includes('\uFFFD'), piece)
  assert.ok(pieces.some((piece) => piece === '🎉'))
  assert.equal(await stream.flush(), '')
})

test('random ids in random groups stream to exactly what decoding them gives', async () => {
  const random = seededRandom(3)
  for (const skipSpecialTokens of [false, true]) {
    for (let round = 0; round < 10; round++) {
      // Low ids are bytes and special tokens, which is where characters break.
      const groups = Array.from({ length: 40 }, () =>
        Array.from({ length: Math.floor(random() * 3) }, () => Math.floor(random() * (random() < 0.7 ? 260 : 4096))),
      )
      const stream = tokenizer.tokenStream({ skipSpecialTokens })
      const pieces = await Promise.all([...groups.map((ids) => stream.push(ids)), stream.flush()])
      assert.equal(pieces.join(''), await tokenizer.decode(groups.flat(), { skipSpecialTokens }))
    }
  }
})

test('after a flush a stream begins another text', async () => {
  const [first = 0] = await tokenizer.encode('🎉', { addSpecialTokens: false })
  const ids = await tokenizer.encode('Union', { addSpecialTokens: false })
  const stream = tokenizer.tokenStream()
  assert.equal(await stream.push([first]), '')
  assert.equal(await stream.flush(), '\uFFFD')
  assert.equal(await stream.push(ids), 'Union')
})

test('calls beside each other each get their own answer', async () => {
  const texts = Array.from({ length: 50 }, (_, i) => `text number ${i}`)
  const ids = await Promise.all(texts.map((text) => tokenizer.encode(text, { addSpecialTokens: false })))
  assert.deepEqual(await Promise.all(ids.map((row) => tokenizer.decode(row))), texts)
})

test('closing rejects the calls under way and all later ones, and may be repeated', async () => {
  const closing = await Tokenizer.load(DEMO)
  const stream = closing.tokenStream()
  const pending = [closing.encode('a'.repeat(50_000)), closing.decode([5]), stream.push([5])]
  const settled = Promise.allSettled(pending)
  await Promise.resolve()
  await closing.close()
  await closing.close()
  for (const result of await settled) {
    assert.equal(result.status, 'rejected')
    assert.equal((result.reason as { code: string }).code, 'TOKENIZER_CLOSED')
  }
  await assert.rejects(closing.encode('x'), { code: 'TOKENIZER_CLOSED' })
  await assert.rejects(async () => stream.flush(), { code: 'TOKENIZER_CLOSED' })
})

test('a process ends by itself with a tokenizer idle, and not before an answer has come', () => {
  const script = `import { Tokenizer } from ${JSON.stringify(MODULE)}
    const tokenizer = await Tokenizer.load(${JSON.stringify(DEMO)})
    console.log(await tokenizer.decode([0]))`
  const { stdout, status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    timeout: 20_000,
    encoding: 'utf8',
  })
  assert.deepEqual({ stdout, status }, { stdout: '<|begin_of_text|>\n', status: 0 }, stderr)
})

async function withTokenizer(context: TestContext, edit: (json: Record<string, unknown>) => unknown): Promise<string> {
  const folder = await temporaryFolder(context)
  await cp(DEMO, folder, { recursive: true, filter: (source) => !source.endsWith('.safetensors') })
  const file = join(folder, 'tokenizer.json')
  await writeFile(file, JSON.stringify(edit(JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>)))
  return folder
}

test('a BPE that does not name its type, as old files do, is a BPE', async (t) => {
  const folder = await withTokenizer(t, (json) => ({
    ...json,
    model: { ...(json['model'] as object), type: undefined },
  }))
  await rm(join(folder, 'tokenizer_config.json'))
  const loaded = await Tokenizer.load(folder)
  t.after(() => loaded.close())
  assert.deepEqual(await loaded.encode('The state of the Union is'), golden.greedy[1]?.input_ids)
})

const REFUSED: [string, RegExp, (json: Record<string, unknown>) => unknown][] = [
  [
    'a WordLevel model',
    /type "WordLevel"; supported are BPE, Unigram, WordPiece/,
    (json) => ({ ...json, model: { type: 'WordLevel', vocab: { a: 0 }, unk_token: 'a' } }),
  ],
  ['a model without type', /of type undefined/, (json) => ({ ...json, model: { vocab: { a: 0 } } })],
  ['no model', /has no model/, () => ({})],
  ['an unknown normalizer', /Unknown Normalizer type: Nmt/, (json) => ({ ...json, normalizer: { type: 'Nmt' } })],
  ['an unknown pre-tokenizer', /UnicodeScripts/, (json) => ({ ...json, pre_tokenizer: { type: 'UnicodeScripts' } })],
  ['a list as root', /must hold a JSON object/, () => []],
]

for (const [what, message, edit] of REFUSED) {
  test(`a tokenizer.json with ${what} is refused by name`, async (t) => {
    const folder = await withTokenizer(t, edit)
    await assert.rejects(Tokenizer.load(folder), { name: 'CheckpointError', code: 'CHECKPOINT_FORMAT', message })
  })
}

test('a folder without tokenizer.json is refused', async (t) => {
  const folder = await temporaryFolder(t)
  await assert.rejects(Tokenizer.load(folder), {
    name: 'CheckpointError',
    code: 'CHECKPOINT_MISSING_FILE',
    message: /no tokenizer\.json/,
  })
})
