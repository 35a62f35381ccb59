import type { ServerRecord } from '../../swarm/records/record-fields.ts'

/** How many servers hold each block, of the records that are there to stay. */
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
 * The `count` adjacent blocks that the swarm needs most: those of which fewest servers hold the rarest block, then the
 * next rare, and so on; the first such span where several are alike. `coverage` has one entry per block of the model.
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

function isBefore(a: readonly number[], b: readonly number[]): boolean {
  const at = a.findIndex((value, i) => value !== b[i])
  return at >= 0 && a[at]! < b[at]!
}
