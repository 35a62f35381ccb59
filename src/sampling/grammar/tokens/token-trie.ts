import { GROUP_OF } from './byte-groups.ts'

/**
 * The tokens of a vocabulary by their bytes, as a tree in the order in which it is walked. Plain typed arrays in shared
 * memory: it is made once and read by all threads. Node 0 is the root.
 */
export interface TokenTrie {
  /** The last byte of each node. */
  readonly bytes: Uint8Array
  /** How many bytes lead to each node. */
  readonly depths: Uint16Array
  /** The node behind each node and all below it. */
  readonly ends: Int32Array
  /** The token that ends at each node, or -1. */
  readonly tokens: Int32Array
  /** Which classes of bytes (`byte-groups.ts`) come below each node: a bit for each. */
  readonly below: Uint32Array
  /** Of each token: another one with the same bytes, or -1. */
  readonly twins: Int32Array
  /** Bytes of the longest token. */
  readonly maxDepth: number
}

/** The longest token that is taken in: no sensible vocabulary has a longer one. */
const MAX_TOKEN_BYTES = 1024

/** `tokens[id]` are the bytes of a token, empty for what is never chosen. */
export function buildTrie(tokens: readonly Uint8Array[]): TokenTrie {
  const twins = shared(Int32Array, tokens.length).fill(-1)
  const sorted = sortedIds(tokens)
  const distinct: number[] = []
  for (const id of sorted) {
    const last = distinct.at(-1)
    if (last === undefined || Buffer.compare(tokens[last]!, tokens[id]!) !== 0) {
      distinct.push(id)
    } else {
      twins[id] = twins[last]!
      twins[last] = id
    }
  }
  const count = 1 + countNodes(tokens, distinct)
  const bytes = shared(Uint8Array, count)
  const depths = shared(Uint16Array, count)
  const ends = shared(Int32Array, count)
  const ids = shared(Int32Array, count).fill(-1)
  /** The node of each byte of the last token. */
  const path = [0]
  let node = 1
  let before: Uint8Array = new Uint8Array(0)
  for (const id of distinct) {
    const token = tokens[id]!
    const common = commonLength(before, token)
    for (const closed of path.splice(common + 1)) ends[closed] = node
    for (let i = common; i < token.length; i++) {
      bytes[node] = token[i]!
      depths[node] = i + 1
      path.push(node++)
    }
    ids[path.at(-1)!] = id
    before = token
  }
  for (const open of path) ends[open] = node
  const below = shared(Uint32Array, count)
  groupsBelow(below, { bytes, depths })
  const maxDepth = distinct.reduce((max, id) => Math.max(max, tokens[id]!.length), 0)
  return { bytes, depths, ends, tokens: ids, below, twins, maxDepth }
}

/** From the last node to the first, each adds its own byte and what is below it to its parent. */
function groupsBelow(below: Uint32Array, { bytes, depths }: Pick<TokenTrie, 'bytes' | 'depths'>): void {
  /** What has been gathered for the next node of each depth. */
  const gathered: number[] = []
  for (let node = bytes.length - 1; node >= 0; node--) {
    const depth = depths[node]!
    below[node] = gathered[depth] ?? 0
    gathered[depth] = 0
    if (depth > 0) gathered[depth - 1] = (gathered[depth - 1] ?? 0) | below[node]! | (1 << GROUP_OF[bytes[node]!]!)
  }
}

function sortedIds(tokens: readonly Uint8Array[]): number[] {
  const ids: number[] = []
  for (const [id, { length }] of tokens.entries()) if (length > 0 && length <= MAX_TOKEN_BYTES) ids.push(id)
  return ids.sort((a, b) => Buffer.compare(tokens[a]!, tokens[b]!))
}

function countNodes(tokens: readonly Uint8Array[], sorted: readonly number[]): number {
  let count = 0
  let before: Uint8Array = new Uint8Array(0)
  for (const id of sorted) {
    const token = tokens[id]!
    count += token.length - commonLength(before, token)
    before = token
  }
  return count
}

function commonLength(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  let i = 0
  while (i < length && a[i] === b[i]) i++
  return i
}

function shared<T>(type: new (buffer: SharedArrayBuffer) => T, length: number): T {
  const { BYTES_PER_ELEMENT } = type as unknown as { readonly BYTES_PER_ELEMENT: number }
  return new type(new SharedArrayBuffer(length * BYTES_PER_ELEMENT))
}
