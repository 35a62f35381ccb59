import type { TokenTrie } from './token-trie.ts'
import { type TokenSet, byteSizeOf } from './token-set.ts'

/** The tokens that fit into a term from its beginning, and the ways on for those that go beyond its end. */
export interface HeadTokens {
  readonly tokens: TokenSet
  readonly exits: Exits
}

/** Nodes of the vocabulary's tree that come right behind an end of a term, by their bytes. */
export interface Exits {
  readonly nodes: Int32Array
  /** Where the nodes of each byte begin in `nodes`; one more for the end of the last. */
  readonly starts: Int32Array
}

/** The children of nodes at which a term may be over. */
export function exitsFrom({ bytes, ends }: TokenTrie, nodes: readonly number[]): Exits {
  const starts = new Int32Array(257)
  const eachChild = (visit: (child: number) => void): void => {
    for (const node of nodes) for (let child = node + 1; child < ends[node]!; child = ends[child]!) visit(child)
  }
  eachChild((child) => starts[bytes[child]! + 1]!++)
  for (let byte = 0; byte < 256; byte++) starts[byte + 1]! += starts[byte]!
  const next = starts.slice()
  const sorted = new Int32Array(starts[256]!)
  eachChild((child) => (sorted[next[bytes[child]!]!++] = child))
  return { nodes: sorted, starts }
}

export function bytesOfHead({ tokens, exits }: HeadTokens): number {
  return byteSizeOf(tokens) + exits.nodes.byteLength + exits.starts.byteLength
}
