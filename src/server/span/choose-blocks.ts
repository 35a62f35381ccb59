import type { ServerRecord } from '../../swarm/records/record-fields.ts'

/**
 * How many servers hold each block, by the records of servers that are JOINING or ONLINE. One number per block of the
 * model.
 */
export function coverageOf(
  numBlocks: number,
  records: readonly Pick<ServerRecord, 'start' | 'end' | 'state'>[],
): number[] {
  const staying = records.filter(({ state }) => state === 'JOINING' || state === 'ONLINE')
  return Array.from(
    { length: numBlocks },
    (_, block) => staying.filter(({ start, end }) => start <= block && block < end).length,
  )
}

/**
 * The `count` adjacent blocks that the swarm needs most: the span whose rarest block is held by the fewest servers;
 * among equals the one whose next rarest block is, and so on, then the first one. `coverage` has one entry per block of
 * the model.
 */
export function chooseBlocks(
  numBlocks: number,
  coverage: readonly number[],
  count: number,
): [start: number, end: number] {
  const rarities = (start: number) => coverage.slice(start, start + count).sort((a, b) => a - b)
  let best = 0
  for (let start = 1; start + count <= numBlocks; start++) if (isBefore(rarities(start), rarities(best))) best = start
  return [best, best + count]
}

/** Whether list `a` comes before list `b` in lexicographic order. */
function isBefore(a: readonly number[], b: readonly number[]): boolean {
  const at = a.findIndex((value, i) => value !== b[i])
  return at >= 0 && a[at]! < b[at]!
}
