import { loadCodec } from '../../../src/checkpoint/tokenizer/codec.ts'
import type { Constraint } from '../../../src/sampling/grammar/constraint.ts'
import { Grammars } from '../../../src/sampling/grammar/grammars.ts'
import { TextConstraint } from '../../../src/sampling/grammar/text-constraint.ts'
import { type Vocabulary, bytesOf, sizeOf } from '../../../src/sampling/grammar/tokens/vocabulary.ts'
import { seededRandom } from '../../../src/sampling/random.ts'
import { Workspace } from '../../../src/sampling/workspace.ts'
import { createSampler } from '../../../src/sampling/sampler.ts'

const DEMO = new URL('../../../models/demo', import.meta.url).pathname

/** The end of a text, in the demo model's vocabulary. */
export const EOS = 1

/** The demo model's tokens: 4096 of byte-level BPE. */
export const VOCABULARY = loadCodec(DEMO).vocabulary()

export const grammars = new Grammars(VOCABULARY)

/** Cuts a text into tokens, the longest that fit first, or else random ones; single bytes at least. */
export function tokenize(bytes: Uint8Array, { trie }: Vocabulary = VOCABULARY, random?: () => number): number[] {
  const ids: number[] = []
  for (let at = 0; at < bytes.length;) {
    const fitting: { readonly id: number; readonly length: number }[] = []
    let node = 0
    for (let length = 1; at + length <= bytes.length; length++) {
      let child = node + 1
      while (child < trie.ends[node]! && trie.bytes[child] !== bytes[at + length - 1]) child = trie.ends[child]!
      if (child >= trie.ends[node]!) break
      node = child
      if (trie.tokens[node]! >= 0) fitting.push({ id: trie.tokens[node]!, length })
    }
    if (fitting.length === 0) throw new Error(`no token for byte ${bytes[at]}`)
    const { id, length } = random === undefined ? fitting.at(-1)! : fitting[Math.floor(random() * fitting.length)]!
    ids.push(id)
    at += length
  }
  return ids
}

/** Whether each token of a text is let through in its place, and then its end. */
export function accepts(constraint: Constraint, text: string, seed?: number, vocabulary = VOCABULARY): boolean {
  const random = seed === undefined ? undefined : seededRandom(seed)
  const own = vocabulary === VOCABULARY ? grammars : new Grammars(vocabulary)
  const matcher = new TextConstraint(own, constraint, { promptLength: 0, eosTokenIds: [EOS] })
  const ids: number[] = []
  for (const id of [...tokenize(Buffer.from(text), vocabulary, random), EOS]) {
    const logits = new Float32Array(sizeOf(vocabulary))
    matcher.process(logits, ids)
    if (logits[id] !== 0) return false
    ids.push(id)
  }
  return true
}

/** Closing tokens become likelier the longer a text gets, so that it ends. */
const CLOSERS = Array.from({ length: sizeOf(VOCABULARY) }, (_, id) =>
  /^[\s"}\],]*["}\]]+$/.test(Buffer.from(bytesOf(VOCABULARY, id)).toString('latin1')) ? id : -1,
).filter((id) => id >= 0)

/** Writes a text that a constraint allows, token by token out of random logits. Undefined if it did not end. */
export function writeRandomly(constraint: Constraint, seed: number, maxTokens = 1500): string | undefined {
  const random = seededRandom(seed)
  const workspace = new Workspace()
  workspace.grammars = grammars
  const options = { maxNewTokens: maxTokens, eosTokenIds: [EOS], constraint, temperature: 1, topK: 0, seed }
  const sample = createSampler(options, 0, workspace)
  const ids: number[] = []
  const logits = new Float32Array(sizeOf(VOCABULARY))
  while (ids.length < maxTokens) {
    if (ids.length > 0 && ids.length % END_AFTER === 0) {
      const end = shortestEnd(constraint, ids)
      if (end !== undefined) return textOf(ids) + end
    }
    for (let id = 0; id < logits.length; id++) logits[id] = 3 * random()
    for (const id of CLOSERS) logits[id]! += 2 + ids.length / 10
    logits[EOS] = 4
    const { tokenId, complete } = sample(logits, ids)
    if (tokenId !== EOS) ids.push(tokenId)
    if (complete === true || tokenId === EOS) return textOf(ids)
  }
  return undefined
}

/** Tokens after which a text is brought to its end on the shortest way. */
const END_AFTER = 100

/** What is left to write at least, in ASCII; found breadth first. Undefined where that is far away. */
function shortestEnd(constraint: Constraint, ids: readonly number[]): string | undefined {
  const store = grammars.store()
  const { derivatives } = store.compiler
  const bytes = Buffer.concat(ids.map((id) => bytesOf(VOCABULARY, id)))
  const from = derivatives.after(grammars.start(store, constraint, JSON.stringify(constraint)), bytes)
  const ways = new Map([[from, '']])
  for (const [term, way] of ways) {
    if (term.nullable) return way
    if (ways.size > 5000) return undefined
    for (let byte = 0x20; byte < 0x7f; byte++) {
      const next = derivatives.next(term, byte)
      if (next.op !== 'empty' && !ways.has(next)) ways.set(next, way + String.fromCharCode(byte))
    }
  }
  return undefined
}

function textOf(ids: readonly number[]): string {
  return new TextDecoder().decode(Buffer.concat(ids.map((id) => bytesOf(VOCABULARY, id))))
}
