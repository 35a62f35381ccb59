import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { CacheAccounts, KvCache, Place, SequenceId } from '../../../src/engine/cache/kv-cache.ts'
import { seededRandom } from '../../checkpoint/write.ts'

/** One kind of cache, of three blocks and 2048 tokens, and a way to see what lies in it. */
export interface CacheUnderTest {
  readonly accounts: CacheAccounts
  readonly cache: KvCache
  /** Blocks whose positions may be given up behind so many latest ones; none where not given. */
  readonly window?: { readonly blocks: readonly boolean[]; readonly keeps: number }
  /** Writes a number where the keys and values of a position of one block belong. */
  write(sequence: SequenceId, block: number, position: number, value: number): void
  read(sequence: SequenceId, block: number, position: number): number
  close(): void
}

const BLOCKS = { start: 0, end: 3 }
const NOW = { timeoutMs: 0 }

/** Four of these fit, whatever a row of them costs. */
const SHORT = 500

/** Sequences on a cache, each with what it should hold. */
class Sequences {
  readonly #made: CacheUnderTest
  readonly #open = new Map<SequenceId, { place: Place; values: number[] }>()
  #nextId = 1
  #nextValue = 1

  constructor(made: CacheUnderTest) {
    this.#made = made
  }

  get ids(): SequenceId[] {
    return [...this.#open.keys()]
  }

  lengthOf(id: SequenceId): number {
    return this.#open.get(id)!.values.length
  }

  async open(maxLength: number): Promise<SequenceId> {
    const place = await this.#made.accounts.reserve(maxLength, NOW)
    const id = this.#nextId++
    this.#made.cache.reserve(id, place)
    this.#open.set(id, { place, values: [] })
    return id
  }

  async append(id: SequenceId, tokens: number): Promise<void> {
    const { cache, accounts, write } = this.#made
    const { place, values } = this.#open.get(id)!
    await accounts.grow(place, values.length + tokens, NOW)
    cache.slide(id, tokens, BLOCKS)
    for (let i = 0; i < tokens; i++) {
      const value = this.#nextValue++
      for (let block = 0; block < BLOCKS.end; block++) write(id, block, values.length, value + block / 4)
      values.push(value)
    }
    cache.append(id, tokens)
  }

  truncate(id: SequenceId, length: number): void {
    this.#made.cache.truncate(id, length)
    this.#open.get(id)!.values.length = length
  }

  async fork(from: SequenceId, to: SequenceId, tokens: number): Promise<void> {
    const [source, target] = [this.#open.get(from)!, this.#open.get(to)!]
    await this.#made.accounts.grow(target.place, tokens, NOW)
    this.#made.cache.fork(from, to, tokens, BLOCKS)
    target.values = source.values.slice(0, tokens)
  }

  reaches(id: SequenceId, position: number): boolean {
    return this.#made.accounts.reaches(this.#open.get(id)!.place, position)
  }

  release(id: SequenceId): void {
    this.#made.cache.release(id)
    this.#made.accounts.release(this.#open.get(id)!.place)
    this.#open.delete(id)
  }

  /** All that every sequence must still hold is there. */
  check(): void {
    const { cache, window, read } = this.#made
    for (const [id, { values }] of this.#open) {
      assert.equal(cache.lengthOf(id), values.length)
      for (let block = 0; block < BLOCKS.end; block++) {
        const first = window?.blocks[block] ? Math.max(0, values.length - window.keeps) : 0
        const held = values.slice(first).map((_, i) => read(id, block, first + i))
        assert.deepEqual(
          held,
          values.slice(first).map((value) => value + block / 4),
          `sequence ${id}, block ${block}`,
        )
      }
    }
  }
}

/** What every kind of cache must do. */
export function testCache(name: string, make: () => CacheUnderTest): void {
  const withCache = async (work: (sequences: Sequences, made: CacheUnderTest) => Promise<void>): Promise<void> => {
    const made = make()
    try {
      await work(new Sequences(made), made)
    } finally {
      made.close()
    }
  }

  describe(`a cache: ${name}`, () => {
    it('holds what is appended, of each sequence its own', () =>
      withCache(async (sequences) => {
        const ids = [await sequences.open(100), await sequences.open(700), await sequences.open(100)]
        for (const tokens of [1, 50, 7]) for (const id of ids) await sequences.append(id, tokens)
        sequences.check()
      }))

    it('goes on from where a sequence was cut back', () =>
      withCache(async (sequences) => {
        const id = await sequences.open(100)
        await sequences.append(id, 40)
        sequences.truncate(id, 25)
        await sequences.append(id, 10)
        sequences.check()
        sequences.truncate(id, 0)
        await sequences.append(id, 3)
        sequences.check()
      }))

    it('refuses to go on from a position that a sequence has not reached, and is as before', () =>
      withCache(async (sequences, { cache }) => {
        const id = await sequences.open(100)
        await sequences.append(id, 4)
        assert.throws(() => cache.truncate(id, 5), { code: 'SESSION_POSITION' })
        sequences.check()
      }))

    it('copies a sequence into another, and both go on on their own', () =>
      withCache(async (sequences) => {
        const [source, short, long] = [await sequences.open(120), await sequences.open(90), await sequences.open(400)]
        await sequences.append(source, 80)
        await sequences.append(long, 200)
        await sequences.fork(source, short, 60)
        await sequences.fork(source, long, 80)
        for (const id of [source, short, long]) await sequences.append(id, 9)
        sequences.check()
      }))

    it('keeps what long sequences attend to, and says what it no longer keeps', () =>
      withCache(async (sequences, { window, cache }) => {
        const [id, other] = [await sequences.open(900), await sequences.open(900)]
        for (let i = 0; i < 14; i++) for (const each of [id, other]) await sequences.append(each, 64 - (i % 2))
        sequences.check()
        assert.equal(sequences.reaches(id, sequences.lengthOf(id)), true)
        assert.equal(sequences.reaches(id, 0), true)
        assert.equal(sequences.reaches(id, 300), window === undefined)
        if (window !== undefined) assert.throws(() => cache.truncate(id, 300), { code: 'SESSION_POSITION' })
        sequences.check()
      }))

    it('gives everything back, and a sequence that comes then is empty', () =>
      withCache(async (sequences, { accounts }) => {
        for (let round = 0; round < 3; round++) {
          const ids = await Promise.all(Array.from({ length: 4 }, () => sequences.open(500)))
          for (const id of ids) await sequences.append(id, 500)
          assert.equal(accounts.numSequences, 4)
          sequences.check()
          for (const id of ids) sequences.release(id)
          assert.deepEqual([accounts.tokensLeft, accounts.numSequences], [accounts.totalTokens, 0])
        }
      }))

    it('refuses what could never fit, and what does not now', () =>
      withCache(async (sequences, { accounts }) => {
        await assert.rejects(accounts.reserve(100_000, NOW), { code: 'CACHE_TOO_SMALL' })
        const ids: SequenceId[] = []
        const fill = async (): Promise<void> => {
          for (;;) {
            ids.push(await sequences.open(128))
            await sequences.append(ids.at(-1)!, 128)
          }
        }
        await assert.rejects(fill(), { code: 'CACHE_FULL' })
        assert.equal(ids.length, accounts.totalTokens / 128)
        sequences.check()
      }))

    it('holds under whatever comes', async (context) => {
      const seed = 20261128
      context.diagnostic(`seed ${seed}`)
      const random = seededRandom(seed)
      const below = (count: number): number => Math.floor(random() * count)
      await withCache(async (sequences) => {
        for (let i = 0; i < 120; i++) {
          const { ids } = sequences
          const id = ids[below(ids.length)]
          const action = below(6)
          if (id === undefined || (action === 0 && ids.length < 4)) {
            await sequences.open(SHORT)
          } else if (action === 1) {
            sequences.release(id)
          } else if (action === 2) {
            const length = Math.max(0, sequences.lengthOf(id) - below(20))
            if (sequences.reaches(id, length)) sequences.truncate(id, length)
          } else if (action === 3) {
            const other = ids.find((each) => each !== id)
            if (other !== undefined) await sequences.fork(id, other, sequences.lengthOf(id))
          } else {
            await sequences.append(id, Math.min(1 + below(60), SHORT - sequences.lengthOf(id)))
          }
          sequences.check()
        }
      })
    })
  })
}
