/** Fewer tokens than this share of the vocabulary are kept as a list. */
const SPARSE_SHARE = 64

/** A set of token ids: a list where there are few, a bit for each where there are many. */
export type TokenSet = { readonly ids: Int32Array } | { readonly words: Uint32Array }

/** Gathers tokens; used again and again. */
export class TokenSetBuilder {
  readonly #words: Uint32Array
  readonly #size: number
  #count = 0

  /** `size` of the vocabulary. */
  constructor(size: number) {
    this.#size = size
    this.#words = new Uint32Array(Math.ceil(size / 32))
  }

  clear(): void {
    this.#words.fill(0)
    this.#count = 0
  }

  add(id: number): void {
    const bit = 1 << (id & 31)
    if ((this.#words[id >> 5]! & bit) !== 0) return
    this.#words[id >> 5]! |= bit
    this.#count++
  }

  remove(id: number): void {
    const bit = 1 << (id & 31)
    if ((this.#words[id >> 5]! & bit) === 0) return
    this.#words[id >> 5]! &= ~bit
    this.#count--
  }

  /** Begins with what a set holds. */
  copy(set: TokenSet): void {
    this.clear()
    this.addAll(set)
  }

  addAll(set: TokenSet): void {
    if ('ids' in set) {
      for (const id of set.ids) this.add(id)
      return
    }
    const { words } = set
    for (let i = 0; i < words.length; i++) {
      const more = words[i]! & ~this.#words[i]!
      if (more === 0) continue
      this.#words[i]! |= more
      this.#count += countBits(more)
    }
  }

  finish(): TokenSet {
    if (this.#count * SPARSE_SHARE >= this.#size) return { words: this.#words.slice() }
    const ids = new Int32Array(this.#count)
    let at = 0
    for (let i = 0; i < this.#words.length && at < ids.length; i++) {
      for (let word = this.#words[i]!; word !== 0; word &= word - 1)
        ids[at++] = i * 32 + (31 - Math.clz32(word & -word))
    }
    return { ids }
  }
}

export function byteSizeOf(set: TokenSet): number {
  return ('ids' in set ? set.ids : set.words).byteLength
}

/** Bans all tokens that are not in the set. `logits` may have more rows than the vocabulary: these are banned. */
export function keepOnly(logits: Float32Array, set: TokenSet): void {
  if ('ids' in set) {
    const kept = Float32Array.from(set.ids, (id) => logits[id] ?? -Infinity)
    logits.fill(-Infinity)
    for (let i = 0; i < kept.length; i++) if (set.ids[i]! < logits.length) logits[set.ids[i]!] = kept[i]!
    return
  }
  const { words } = set
  for (let i = 0; i < words.length; i++) {
    const start = i * 32
    // From the lowest bit that is not set to the highest.
    for (let banned = ~words[i]!; banned !== 0; banned &= banned - 1) {
      logits[start + 31 - Math.clz32(banned & -banned)] = -Infinity
    }
  }
  logits.fill(-Infinity, words.length * 32)
}

function countBits(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555)
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333)
  return (((bits + (bits >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24
}
