import { readFile } from 'node:fs/promises'
import { loadCodec } from '../src/checkpoint/tokenizer/codec.ts'
import type { Constraint } from '../src/sampling/grammar/constraint.ts'
import { Grammars } from '../src/sampling/grammar/grammars.ts'
import { TextConstraint } from '../src/sampling/grammar/text-constraint.ts'
import { warmUp } from '../src/sampling/grammar/warm-up.ts'
import { type Vocabulary, bytesOf, createVocabulary, sizeOf } from '../src/sampling/grammar/tokens/vocabulary.ts'
import { seededRandom } from '../src/sampling/random.ts'
import { median } from './statistics.ts'

const VOCABULARY_SIZE = 128_256
const DEMO = new URL('../models/demo', import.meta.url).pathname

/** A vocabulary in tiktoken's form to measure with instead: lines of base64 and rank. */
const TIKTOKEN_FILE = process.env['BENCH_TIKTOKEN']

const PERSON = {
  type: 'object',
  properties: {
    name: { type: 'string' },
    email: { type: 'string', format: 'email' },
    born: { type: 'string', format: 'date' },
    height: { type: 'number', minimum: 0.5, maximum: 2.5 },
    visits: { type: 'integer', minimum: 0, maximum: 1000, multipleOf: 5 },
    role: { enum: ['user', 'admin', 'guest', 'owner'] },
    about: { type: 'string', maxLength: 200 },
    tags: { type: 'array', items: { type: 'string', pattern: '^[a-z][a-z0-9-]{2,20}$' }, minItems: 1, maxItems: 4 },
    parent: { anyOf: [{ type: 'null' }, { $ref: '#' }] },
  },
  required: ['name', 'email', 'born', 'height', 'visits', 'role', 'about', 'tags', 'parent'],
  additionalProperties: false,
}

const VALUE = {
  name: 'Ishmael of the “Pequod”',
  email: 'ishmael@pequod.example.org',
  born: '1820-02-29',
  height: 1.75,
  visits: 135,
  role: 'guest',
  about: 'Call me Ishmael. Some years ago, never mind how long precisely, having little or no money in my purse.',
  tags: ['sea', 'white-whale', 'nantucket'],
  parent: null,
}

const CONSTRAINTS: Readonly<Record<string, readonly [Constraint, string]>> = {
  'any object': [
    { kind: 'json_object' },
    JSON.stringify({ a: VALUE, b: [VALUE, { c: [1, 2.5, true, null] }] }, null, 2),
  ],
  'a schema of 9 properties': [{ kind: 'json_schema', schema: PERSON }, JSON.stringify({ ...VALUE, parent: VALUE })],
  'a string of 100 characters at most': [
    { kind: 'json_schema', schema: { type: 'string', maxLength: 100 } },
    JSON.stringify(VALUE.about.slice(0, 100)),
  ],
  'a pattern': [
    { kind: 'regex', pattern: '([A-Z][a-z]+ ){3,12}[0-9]{1,4}' },
    'Call Me Ishmael Some Years Ago Never Mind 1851',
  ],
  'free text until a call': [
    { kind: 'sequence', parts: [{ kind: 'text', until: '<tool_call>' }, { kind: 'json_object' }] },
    `${VALUE.about.repeat(3)}<tool_call>{"name": "look"}`,
  ],
}

/** Merges of the demo model's tokens, as byte pair encoding makes them: as many as a large model's. */
function mergedVocabulary(): Vocabulary {
  const demo = loadCodec(DEMO).vocabulary()
  const tokens = Array.from({ length: sizeOf(demo) }, (_, id) => Buffer.from(bytesOf(demo, id)))
  const random = seededRandom(1)
  const known = new Set(tokens.map((token) => token.toString('latin1')))
  const pick = (): Buffer => tokens[2 + Math.floor(random() ** 2 * (sizeOf(demo) - 2))]!
  while (tokens.length < VOCABULARY_SIZE) {
    const token = Buffer.concat([pick(), pick()])
    if (token.length > 16 || known.has(token.toString('latin1'))) continue
    known.add(token.toString('latin1'))
    tokens.push(token)
  }
  return createVocabulary(tokens, false)
}

async function readTiktoken(file: string): Promise<Vocabulary> {
  const lines = (await readFile(file, 'utf8')).trim().split('\n')
  return createVocabulary(
    lines.slice(0, VOCABULARY_SIZE).map((line) => Buffer.from(line.split(' ')[0]!, 'base64')),
    false,
  )
}

/** The longest tokens that fit, as a model mostly writes. */
function tokenize(text: string, { trie }: Vocabulary): number[] {
  const bytes = Buffer.from(text)
  const ids: number[] = []
  for (let at = 0; at < bytes.length;) {
    let node = 0
    let best: readonly [id: number, length: number] = [-1, 1]
    for (let length = 1; at + length <= bytes.length; length++) {
      let child = node + 1
      while (child < trie.ends[node]! && trie.bytes[child] !== bytes[at + length - 1]) child = trie.ends[child]!
      if (child >= trie.ends[node]!) break
      node = child
      if (trie.tokens[node]! >= 0) best = [trie.tokens[node]!, length]
    }
    ids.push(best[0])
    at += best[1]
  }
  return ids
}

/**
 * CPU milliseconds of each token's mask: to find it and to apply it to the logits; of one that is prepared, as where
 * servers take longer to compute than that, only what is done when the logits have come.
 */
function timeMasks(grammars: Grammars, constraint: Constraint, ids: readonly number[], isPrepared = false): number[] {
  const matcher = new TextConstraint(grammars, constraint, { promptLength: 0, eosTokenIds: [] })
  const logits = new Float32Array(sizeOf(grammars.vocabulary))
  const written: number[] = []
  return ids.map((id) => {
    logits.fill(0)
    if (isPrepared) matcher.prepare(written)
    const began = process.threadCpuUsage()
    matcher.process(logits, written)
    const { user, system } = process.threadCpuUsage(began)
    if (logits[id] !== 0) throw new Error(`token ${id} at ${written.length} is not let through`)
    written.push(id)
    return (user + system) / 1000
  })
}

/** What a constraint adds to the choice of each token, out of 128 k. */
export async function benchGrammar(): Promise<void> {
  const began = performance.now()
  const vocabulary = TIKTOKEN_FILE === undefined ? mergedVocabulary() : await readTiktoken(TIKTOKEN_FILE)
  console.log(`${sizeOf(vocabulary)} tokens, ${vocabulary.trie.bytes.length} nodes; made in ${since(began)} ms`)
  console.log(
    'CPU ms a token: first text (first token, mean of the others, slowest), second text (mean, median, slowest), ' +
      'first text prepared ahead (mean, slowest)',
  )
  for (const [name, [constraint, text]] of Object.entries(CONSTRAINTS)) {
    const ids = tokenize(text, vocabulary)
    const grammars = warmGrammars(vocabulary)
    const [first, ...others] = timeMasks(grammars, constraint, ids) as [number, ...number[]]
    const again = timeMasks(grammars, constraint, ids)
    const ahead = timeMasks(warmGrammars(vocabulary), constraint, ids, true)
    console.log(
      `${name}: ${ids.length} tokens; ${[first, mean(others), Math.max(...others)].map(shown).join(', ')}; ` +
        `${[mean(again), median(again), Math.max(...again)].map(shown).join(', ')}; ` +
        [mean(ahead), Math.max(...ahead)].map(shown).join(', '),
    )
  }
}

/** As a server's thread has them when a model is opened. */
function warmGrammars(vocabulary: Vocabulary): Grammars {
  const grammars = new Grammars(vocabulary)
  warmUp(grammars)
  return grammars
}

function mean(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0) / values.length
}

function shown(ms: number): string {
  return ms.toFixed(2)
}

function since(began: number): string {
  return (performance.now() - began).toFixed(0)
}
