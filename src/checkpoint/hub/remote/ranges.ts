/** Bytes of a file from `start` to `end`, without the latter. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** A range that is wanted, and how many of its first bytes are there. */
export interface Piece extends ByteRange {
  readonly have: number
}

/** One request: the missing bytes of pieces that follow one another, with small gaps that nobody wants. */
export interface Run {
  readonly start: number
  readonly end: number
  readonly pieces: readonly Piece[]
}

/** Reading over a gap of this size takes less time than another request. */
const MAX_GAP_BYTES = 1 << 20

/** Enough for a connection to reach its rate; less would leave fewer runs than connections on small spans. */
const MAX_RUN_BYTES = 64 << 20

/**
 * Divides pieces, in whatever order, into runs. No run goes over bytes that are there already: a gap holds only bytes
 * that nobody asked for.
 */
export function planRuns(pieces: readonly Piece[]): Run[] {
  const runs: { start: number; end: number; pieces: Piece[] }[] = []
  let open: (typeof runs)[number] | undefined
  for (const piece of [...pieces].sort((a, b) => a.start - b.start)) {
    const start = piece.start + piece.have
    const fits =
      open !== undefined &&
      piece.have === 0 &&
      start - open.end < MAX_GAP_BYTES &&
      piece.end - open.start <= MAX_RUN_BYTES
    if (start >= piece.end) open = undefined
    else if (open !== undefined && fits) {
      open.end = piece.end
      open.pieces.push(piece)
    } else {
      open = { start, end: piece.end, pieces: [piece] }
      runs.push(open)
    }
  }
  return runs
}

export function rangeBytes({ start, end }: ByteRange): number {
  return end - start
}

export function rangeKey({ start, end }: ByteRange): string {
  return `${start}-${end}`
}

export function parseRangeKey(key: string): ByteRange | undefined {
  const [, start, end] = /^(\d{1,15})-(\d{1,15})$/.exec(key) ?? []
  return start !== undefined && Number(start) < Number(end) ? { start: Number(start), end: Number(end) } : undefined
}

export function contains(outer: ByteRange, inner: ByteRange): boolean {
  return outer.start <= inner.start && inner.end <= outer.end
}
