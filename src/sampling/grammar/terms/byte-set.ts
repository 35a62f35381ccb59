/** A set of bytes: bit `b & 31` of word `b >> 5` says whether byte b is in it. */
export type ByteSet = Uint32Array

export function byteSet(ranges: Iterable<readonly [first: number, last: number]>): ByteSet {
  const set = new Uint32Array(8)
  for (const [first, last] of ranges) for (let b = first; b <= last; b++) set[b >> 5]! |= 1 << (b & 31)
  return set
}

export function hasByte(set: ByteSet, byte: number): boolean {
  return ((set[byte >> 5]! >>> (byte & 31)) & 1) === 1
}

export function union(a: ByteSet, b: ByteSet): ByteSet {
  return a.map((word, i) => word | b[i]!)
}

/** The byte of a set that has just one. */
function onlyByte(set: ByteSet): number | undefined {
  let only: number | undefined
  for (let i = 0; i < set.length; i++) {
    const word = set[i]!
    if (word === 0) continue
    if (only !== undefined || (word & (word - 1)) !== 0) return undefined
    only = i * 32 + (31 - Math.clz32(word))
  }
  return only
}

/**
 * Groups of bytes that nothing tells apart. Begins with one group; each set that is met splits the groups that it
 * cuts.
 */
export class ByteClasses {
  /** The group of each byte. */
  readonly of = new Uint8Array(256)
  #count = 1
  /** Sets, and lists of them, that have been met: automata of one kind have theirs in common. */
  readonly #met = new Set<ByteSet | readonly ByteSet[]>()

  splitByAll(sets: readonly ByteSet[]): void {
    if (this.#met.has(sets)) return
    this.#met.add(sets)
    for (const set of sets) this.split(set)
  }

  split(set: ByteSet): void {
    if (this.#met.has(set)) return
    this.#met.add(set)
    const only = onlyByte(set)
    if (only !== undefined) return this.splitByte(only)
    const inside = new Int16Array(this.#count).fill(-1)
    const outside = new Uint8Array(this.#count)
    for (let b = 0; b < 256; b++) if (!hasByte(set, b)) outside[this.of[b]!] = 1
    for (let b = 0; b < 256; b++) {
      if (!hasByte(set, b)) continue
      const group = this.of[b]!
      if (outside[group] === 0) continue
      if (inside[group] === -1) inside[group] = this.#count++
      this.of[b] = inside[group]!
    }
  }

  splitByte(byte: number): void {
    const group = this.of[byte]!
    for (let b = 0; b < 256; b++) {
      if (b === byte || this.of[b] !== group) continue
      this.of[byte] = this.#count++
      return
    }
  }

  /** One byte of each group. */
  representatives(): number[] {
    const first = new Int16Array(this.#count).fill(-1)
    for (let b = 0; b < 256; b++) if (first[this.of[b]!] === -1) first[this.of[b]!] = b
    return [...first]
  }
}
