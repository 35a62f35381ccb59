/** Blocks `start` to `end`, `end` not included. */
export type Span = readonly [start: number, end: number]

/** A span as users write it: START:END. */
export function spanText([start, end]: Span): string {
  return `${start}:${end}`
}

/** Blocks in ascending order as spans, each as START:END. */
export function spansOf(blocks: readonly number[]): string[] {
  const firsts = blocks.filter((block, i) => blocks[i - 1] !== block - 1)
  const lasts = blocks.filter((block, i) => blocks[i + 1] !== block + 1)
  return firsts.map((start, i) => spanText([start, lasts[i]! + 1]))
}
