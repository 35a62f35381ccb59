import { UsageError } from '../../base/errors.ts'
import type { Span } from '../../base/span.ts'

/** Reads `--blocks`. Throws `USAGE` unless it is START:END with blocks that the model has. */
export function parseSpan(text: string, numBlocks: number): Span {
  const match = /^(\d+):(\d+)$/.exec(text)
  if (match === null)
    throw new UsageError(`--blocks ${text}: expected START:END, like 0:${numBlocks} for all blocks of this model`)
  const [start, end] = [Number(match[1]), Number(match[2])]
  if (start < end && end <= numBlocks) return [start, end]
  throw new UsageError(`--blocks ${text}: this model has blocks 0:${numBlocks}, and START must be below END`)
}

/** Divides `numBlocks` blocks into `numSpans` spans whose lengths differ by at most one. */
export function splitEvenly(numBlocks: number, numSpans: number): Span[] {
  const cut = (i: number) => Math.floor((i * numBlocks) / numSpans)
  return Array.from({ length: numSpans }, (_, i) => [cut(i), cut(i + 1)] as const)
}
