import type { ServerRecord } from '../records/record-fields.ts'
import { spansOf } from '../../base/span.ts'

/**
 * A server's record, and whether the server answered just now. The record of a killed server stays valid for a minute.
 */
export interface ServerStatus extends ServerRecord {
  readonly answers: boolean
  /** Round trip of a question from here; absent if it did not answer one. */
  readonly roundTripMs?: number
}

/** The servers of one model, from the records of one moment. */
export interface ModelStatus {
  readonly modelKey: string
  readonly numBlocks: number
  /** For each block, how many ONLINE servers that answer hold it. */
  readonly holders: readonly number[]
  /** Spans that no such server holds, as START:END. */
  readonly missing: readonly string[]
  /** In the order of their blocks. */
  readonly servers: readonly ServerStatus[]
}

/** What servers answered when they were asked just now, by peer id. */
export interface ServerAnswers {
  /** Servers that did not answer. */
  readonly silent?: ReadonlySet<string>
  /** In milliseconds, of those that did. */
  readonly roundTrips?: ReadonlyMap<string, number>
}

/** The status of one model. */
export function modelStatus(
  modelKey: string,
  numBlocks: number,
  records: readonly ServerRecord[],
  { silent = new Set(), roundTrips = new Map() }: ServerAnswers = {},
): ModelStatus {
  const servers = records
    .toSorted((a, b) => a.start - b.start || a.end - b.end || (a.peerId < b.peerId ? -1 : 1))
    .map((record): ServerStatus => {
      const roundTripMs = roundTrips.get(record.peerId)
      return {
        ...record,
        answers: !silent.has(record.peerId),
        ...(roundTripMs !== undefined && { roundTripMs: Math.round(roundTripMs * 10) / 10 }),
      }
    })
  const online = servers.filter(({ state, answers }) => state === 'ONLINE' && answers)
  const holders = Array.from(
    { length: numBlocks },
    (_, block) => online.filter(({ start, end }) => start <= block && block < end).length,
  )
  return { modelKey, numBlocks, holders, missing: spansOf(blocksWithout(holders)), servers }
}

/**
 * The number of blocks of a model of which only records are known: it is part of the model's key, unless the key was
 * chosen by hand; then the largest block in the records counts.
 */
export function numBlocksOf(modelKey: string, records: readonly ServerRecord[]): number {
  const match = /-(\d+)x\d+-[0-9a-f]{16}$/.exec(modelKey)
  return match === null ? Math.max(0, ...records.map(({ end }) => end)) : Number(match[1])
}

function blocksWithout(holders: readonly number[]): number[] {
  return holders.flatMap((count, block) => (count === 0 ? [block] : []))
}
