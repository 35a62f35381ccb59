import type { RankRange } from './adapters/adapter-memory.ts'
import type { Adapters } from './adapters/adapters.ts'
import type { ReserveOptions, Row, RowAllocator } from './cache/row-allocator.ts'

/** What a session holds while it is open. */
export interface SessionRoom {
  readonly row: Row
  /** Where its adapter lies. */
  readonly adapter: RankRange | undefined
  release(): void
}

/**
 * A row of the cache, and the adapter of that name loaded: both or nothing. Throws as `RowAllocator.reserve` and
 * `Adapters.acquire`.
 */
export async function takeRoom(
  rows: RowAllocator,
  adapters: Adapters,
  maxLength: number,
  adapter: string | undefined,
  reserve: ReserveOptions,
): Promise<SessionRoom> {
  const use = adapter === undefined ? undefined : await adapters.acquire(adapter)
  try {
    const row = await rows.reserve(maxLength, reserve)
    const release = (): void => {
      rows.release(row)
      use?.release()
    }
    return { row, adapter: use?.range, release }
  } catch (error) {
    use?.release()
    throw error
  }
}
