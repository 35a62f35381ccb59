import { BlockMemory, type RowMemory } from '../../../src/engine/cache/rows/row-memory.ts'
import { RowAccounts } from '../../../src/engine/cache/rows/row-accounts.ts'
import { RowCache } from '../../../src/engine/cache/rows/row-cache.ts'
import { RowBases, basesMemory, cacheWindow, rowCost } from '../../../src/engine/cache/rows/window.ts'
import { CPU } from '../../../src/runtime/device.ts'
import { viewOf } from '../../../src/runtime/library.ts'
import { memoryIsSparse } from '../../../src/runtime/system-memory.ts'
import { type CacheUnderTest, testCache } from './contract.ts'

const TOTAL_TOKENS = 2048
const KV_HEADS = 2
const HEAD_DIM = 4
const WINDOW = 100

/**
 * Rows on a CPU: `sparse` ones take memory as it is written, `windowed` ones keep the latest positions in two blocks.
 */
function rows({ sparse, windowed }: { sparse: boolean; windowed: boolean }): CacheUnderTest {
  const positions = sparse ? 4 * TOTAL_TOKENS : TOTAL_TOKENS
  const tokenBytes = KV_HEADS * HEAD_DIM * Float32Array.BYTES_PER_ELEMENT
  const blocks = new BlockMemory(CPU, 3, positions * tokenBytes)
  const kind = windowed ? cacheWindow([{ window: WINDOW }, {}, { window: WINDOW }], 64) : undefined
  const window = kind && { ...kind, bases: basesMemory(positions) }
  const bases = window && new RowBases(window)
  const memory: RowMemory = {
    device: CPU,
    kvHeads: KV_HEADS,
    tokenBytes,
    blocks: blocks.blocks,
    window,
    discards: sparse && memoryIsSparse(),
  }
  const costOf = kind && sparse ? (tokens: number) => rowCost(kind, tokens) : undefined
  const accounts = new RowAccounts({ totalTokens: TOTAL_TOKENS, positions, costOf, sparse, bases })
  const cache = new RowCache(memory, { kvHeads: KV_HEADS, cacheHeadDim: HEAD_DIM })
  const views = blocks.blocks.map(({ key, value }) =>
    [key, value].map((address) => new Float32Array(viewOf(address, positions * tokenBytes).buffer)),
  )
  /** Where the numbers of a position lie, in keys as in values. */
  const placesOf = (sequence: number, block: number, position: number): number[] => {
    const row = cache.rowOf(sequence)
    const slot = kind?.blocks[block] ? position - bases!.get(row) : position
    const first = row.offset * KV_HEADS * HEAD_DIM
    return Array.from({ length: KV_HEADS }, (_, head) => first + (head * row.capacity + slot) * HEAD_DIM)
  }
  return {
    accounts,
    cache,
    ...(kind && { window: { blocks: kind.blocks, keeps: WINDOW } }),
    write: (sequence, block, position, value) => {
      for (const view of views[block]!)
        for (const place of placesOf(sequence, block, position)) view.fill(value, place, place + HEAD_DIM)
    },
    read: (sequence, block, position) => {
      const places = placesOf(sequence, block, position)
      const held = views[block]!.flatMap((view) =>
        places.flatMap((place) => [...view.subarray(place, place + HEAD_DIM)]),
      )
      return held.every((value) => value === held[0]) ? held[0]! : Number.NaN
    },
    close: () => blocks.release(),
  }
}

testCache('rows that are taken whole', () => rows({ sparse: false, windowed: false }))
testCache('rows that take memory as it is written', () => rows({ sparse: true, windowed: false }))
testCache('rows with windowed blocks', () => rows({ sparse: false, windowed: true }))
testCache('rows with windowed blocks that take memory as it is written', () => rows({ sparse: true, windowed: true }))
