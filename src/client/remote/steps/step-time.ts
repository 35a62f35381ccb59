import { stepSeconds } from '../../../swarm/records/rates.ts'
import type { LinkMeter } from '../seen/link-meter.ts'
import type { RouteSpan } from '../routes/route-request.ts'
import { UNKNOWN_BYTES_PER_SECOND, UNKNOWN_RTT_MS } from '../seen/unknown.ts'

/** How many times as long as expected a step may take. */
const SLACK = 8

/** What a step's time depends on. */
export interface StepSize {
  readonly tokens: number
  /** Bytes of one token's hidden states on the wire. */
  readonly rowBytes: number
  /** What attention adds, as a share of all else that blocks compute (`attentionShare`); 0 by default. */
  readonly attention?: number | undefined
  /** How many forward passes it costs, 1 by default: a backward pass costs `BACKWARD_FORWARDS`. */
  readonly forwards?: number | undefined
  /** How often the hidden states go over the link, there and back together; 2 by default. */
  readonly carries?: number | undefined
  /** Seconds of the client's own work that the server has to do before. */
  readonly secondsAhead?: number | undefined
}

/** What a backward pass costs in forward passes: one to have the blocks' inputs, and two products for each of its. */
export const BACKWARD_FORWARDS = 3

/**
 * What attention costs of `tokens` tokens behind `position` others, as a share of what the matrices of a block do. A
 * dense block of width h has some 12 h^2 weights, which are 24 h^2 operations a token; attention to n tokens has 4 n h.
 * Servers' figures are of short sequences, where it is next to nothing.
 */
export function attentionShare({ position, tokens }: { position: number; tokens: number }, width: number): number {
  return (position + tokens / 2) / (6 * width)
}

type Links = Pick<LinkMeter, 'of'> | undefined

/**
 * How long a step through these spans should take, in seconds, by the servers' own figures (compute per token and
 * block, what waits for them) and the bytes over the links. Undefined where a server gives no figures.
 */
export function expectedStepSeconds(
  spans: readonly RouteSpan[],
  { tokens, rowBytes, attention = 0, forwards = 1, carries = 2, secondsAhead = 0 }: StepSize,
  links: Links,
): number | undefined {
  let seconds = secondsAhead
  for (const { server, start, end } of spans) {
    const { prefillRate, decodeRate, queueMs, peerId } = server
    const compute =
      (1 + attention) * forwards * stepSeconds(tokens, end - start, { prefill: prefillRate, decode: decodeRate })
    if (compute === 0) return undefined
    const { rttMs = UNKNOWN_RTT_MS, bytesPerSecond = UNKNOWN_BYTES_PER_SECOND } = links?.of(peerId) ?? {}
    const travel = (carries * tokens * rowBytes) / Math.min(bytesPerSecond, UNKNOWN_BYTES_PER_SECOND) + rttMs / 1000
    seconds += compute + queueMs / 1000 + travel
  }
  return seconds
}

/**
 * How long a step through these spans may take, in milliseconds: several times what is expected of it, within bounds;
 * the upper one where nothing is known.
 */
export function allowedStepMs(
  spans: readonly RouteSpan[],
  size: StepSize,
  links: Links,
  { minStepMs, stepTimeoutMs }: { readonly minStepMs: number; readonly stepTimeoutMs: number },
): number {
  const seconds = expectedStepSeconds(spans, size, links)
  return seconds === undefined ? stepTimeoutMs : Math.min(stepTimeoutMs, Math.max(minStepMs, SLACK * seconds * 1000))
}
