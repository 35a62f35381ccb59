import type { ServerRecord } from '../../swarm/records/record-fields.ts'
import { spanText } from '../values/span.ts'

/** A server's record, and whether it answered just now: a killed one's record lives on for a minute. */
export interface ServerStatus extends ServerRecord {
  readonly answers: boolean
}

/** Who serves one model, by the records of one moment. */
export interface ModelStatus {
  readonly modelKey: string
  readonly numBlocks: number
  /** How many servers that answer are ONLINE with each block. */
  readonly holders: readonly number[]
  /** Spans that no server is ONLINE with, as START:END. */
  readonly missing: readonly string[]
  /** In the order of their blocks. */
  readonly servers: readonly ServerStatus[]
}

/** `silent`: servers that do not answer, by peer id. */
export function modelStatus(
  modelKey: string,
  numBlocks: number,
  records: readonly ServerRecord[],
  silent: ReadonlySet<string> = new Set(),
): ModelStatus {
  const servers = records
    .toSorted((a, b) => a.start - b.start || a.end - b.end || (a.peerId < b.peerId ? -1 : 1))
    .map((record) => ({ ...record, answers: !silent.has(record.peerId) }))
  const online = servers.filter(({ state, answers }) => state === 'ONLINE' && answers)
  const holders = Array.from(
    { length: numBlocks },
    (_, block) => online.filter(({ start, end }) => start <= block && block < end).length,
  )
  return { modelKey, numBlocks, holders, missing: missingSpans(holders), servers }
}

/** Blocks of a model of which only records are known: its key says so, unless somebody chose another. */
export function numBlocksOf(modelKey: string, records: readonly ServerRecord[]): number {
  const match = /-(\d+)x\d+-[0-9a-f]{16}$/.exec(modelKey)
  return match === null ? Math.max(0, ...records.map(({ end }) => end)) : Number(match[1])
}

function missingSpans(holders: readonly number[]): string[] {
  const spans: string[] = []
  for (let start = 0; start < holders.length; start++) {
    if (holders[start] !== 0) continue
    let end = start
    while (holders[end] === 0) end++
    spans.push(spanText([start, end]))
    start = end
  }
  return spans
}
