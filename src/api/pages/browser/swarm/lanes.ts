import type { ServerSnapshot } from '../../../swarm-view/snapshot.ts'

/**
 * Puts spans into as few rows as are needed so that none overlap: each into the first row that is free where it begins.
 * Spans come in the order of their blocks.
 */
export function lanesOf<T extends Pick<ServerSnapshot, 'start' | 'end'>>(spans: readonly T[]): T[][] {
  const lanes: T[][] = []
  for (const span of spans.toSorted((a, b) => a.start - b.start || b.end - a.end)) {
    const free = lanes.find((lane) => lane.at(-1)!.end <= span.start)
    if (free === undefined) lanes.push([span])
    else free.push(span)
  }
  return lanes
}

/** The blocks at which the map's axis has a mark: a round number of them apart, and the end. */
export function ticksOf(numBlocks: number, maxTicks: number): number[] {
  const steps = [1, 2, 4, 5, 8, 10, 16, 20, 25, 32, 50, 64, 100, 200, 500, 1000, 2000, 5000]
  const step = steps.find((each) => numBlocks / each <= maxTicks) ?? numBlocks
  const ticks = Array.from({ length: Math.ceil(numBlocks / step) }, (_, i) => i * step)
  // A mark too near to the end would touch its number.
  return [...ticks.filter((tick) => tick === 0 || numBlocks - tick >= step * 0.6), numBlocks]
}

/** Neighbouring blocks that look the same, as one cell: from `start` to `end`, `end` not included. */
export function runsOf<T>(values: readonly T[]): { readonly start: number; readonly end: number; readonly value: T }[] {
  const runs: { start: number; end: number; value: T }[] = []
  for (const [i, value] of values.entries()) {
    const last = runs.at(-1)
    if (last !== undefined && last.value === value) last.end = i + 1
    else runs.push({ start: i, end: i + 1, value })
  }
  return runs
}
