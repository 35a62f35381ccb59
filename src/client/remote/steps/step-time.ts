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
  /** How many forward passes it costs, 1 by default: a backward pass costs `BACKWARD_FORWARDS`. */
  readonly forwards?: number | undefined
  /** How often the hidden states go over the link, there and back together; 2 by default. */
  readonly carries?: number | undefined
  /** Seconds of the client's own work that the server has to do before. */
  readonly secondsAhead?: number | undefined
}

/** What a backward pass costs in forward passes: one to have the blocks' inputs, and two products for each of its. */
export const BACKWARD_FORWARDS = 3

type Links = Pick<LinkMeter, 'of'> | undefined

/**
 * How long a step through these spans should take, in seconds, by the servers' own figures (compute per token and
 * block, what waits for them) and the bytes over the links. Undefined where a server gives no figures.
 */
export function expectedStepSeconds(
  spans: readonly RouteSpan[],
  { tokens, rowBytes, forwards = 1, carries = 2, secondsAhead = 0 }: StepSize,
  links: Links,
): number | undefined {
  let seconds = secondsAhead
  for (const { server, start, end } of spans) {
    const { prefillRate, decodeRate, queueMs, peerId } = server
    const compute = forwards * stepSeconds(tokens, end - start, { prefill: prefillRate, decode: decodeRate })
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
