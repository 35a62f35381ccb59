/** Bytes of a file from `start` to `end`, `end` not included. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** A range to download; its first `have` bytes are on disk already. */
export interface Piece extends ByteRange {
  readonly have: number
}

/**
 * The range of one request: the missing bytes of neighbouring pieces, and the small gaps between them that nobody
 * wants.
 */
export interface Run {
  readonly start: number
  readonly end: number
  readonly pieces: readonly Piece[]
}

/**
 * The largest gap between two ranges that is downloaded with them: up to this size that takes less time than a further
 * request.
 */
const MAX_GAP_BYTES = 1 << 20

/**
 * The longest run of several pieces: enough for a connection to reach its full rate, and short enough that small spans
 * still give several runs to download at once.
 */
const MAX_RUN_BYTES = 64 << 20

/**
 * Groups pieces, given in any order, into runs. No run covers bytes that are on disk: gaps hold only bytes that nobody
 * asked for.
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

/** How many bytes a range has. */
export function rangeBytes({ start, end }: ByteRange): number {
  return end - start
}

/** A range as text, `START-END`. */
export function rangeKey({ start, end }: ByteRange): string {
  return `${start}-${end}`
}

/** The range of a text `START-END`; undefined for any other text. */
export function parseRangeKey(key: string): ByteRange | undefined {
  const [, start, end] = /^(\d{1,15})-(\d{1,15})$/.exec(key) ?? []
  return start !== undefined && Number(start) < Number(end) ? { start: Number(start), end: Number(end) } : undefined
}

/** Whether `inner` lies completely within `outer`. */
export function contains(outer: ByteRange, inner: ByteRange): boolean {
  return outer.start <= inner.start && inner.end <= outer.end
}
