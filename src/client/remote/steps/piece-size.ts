import type { LinkMeter } from '../seen/link-meter.ts'
import type { RouteSpan } from '../routes/route-request.ts'
import { UNKNOWN_BLOCK_SECONDS, UNKNOWN_BYTES_PER_SECOND } from '../seen/unknown.ts'

/** The least tokens of a piece: fewer make poor use of a server, and an int8 cache takes its scales from the first. */
const MIN_TOKENS = 128

/** The most bytes of a piece: what waits behind one, waits no longer than for these. */
const MAX_BYTES = 4 << 20

/** What a message costs a server beside computation. */
const HANDLING_SECONDS = 0.002

/**
 * How many tokens of a prompt to send at a time through these spans, which work on different pieces at once. With n
 * pieces and s spans the last piece comes out after n + s - 1 times what the slowest span takes for one, to receive it
 * or to compute it, whichever is longer; and each piece costs a run of all weights besides. Of doubled sizes, the one
 * with the least time by the servers' own rates and those of the links. A piece has at most 4 MB.
 */
export function pieceTokens(
  spans: readonly RouteSpan[],
  { tokens, rowBytes }: { readonly tokens: number; readonly rowBytes: number },
  links: Pick<LinkMeter, 'of'> | undefined,
): number {
  const most = Math.max(1, Math.min(tokens, Math.floor(MAX_BYTES / rowBytes)))
  if (most <= MIN_TOKENS) return most
  let [best, leastSeconds] = [most, Infinity]
  for (let size = MIN_TOKENS; ; size = Math.min(most, 2 * size)) {
    const seconds = (Math.ceil(tokens / size) + spans.length - 1) * slowest(spans, size, rowBytes, links)
    if (seconds < leastSeconds) [best, leastSeconds] = [size, seconds]
    if (size === most) return best
  }
}

/** Seconds that the slowest of some spans takes for a piece of so many tokens. */
function slowest(
  spans: readonly RouteSpan[],
  tokens: number,
  rowBytes: number,
  links: Pick<LinkMeter, 'of'> | undefined,
): number {
  return Math.max(
    ...spans.map(({ server, start, end }) => {
      const { decodeRate, prefillRate, peerId } = server
      const run = decodeRate > 0 ? 1 / decodeRate : UNKNOWN_BLOCK_SECONDS
      const compute = (end - start) * (run + (prefillRate > 0 ? tokens / prefillRate : tokens * UNKNOWN_BLOCK_SECONDS))
      const travel = (tokens * rowBytes) / (links?.of(peerId).bytesPerSecond ?? UNKNOWN_BYTES_PER_SECOND)
      return Math.max(compute, travel) + HANDLING_SECONDS
    }),
  )
}
