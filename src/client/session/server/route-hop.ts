import type { Link } from './link.ts'

/** A server of a session's chain, as its user sees it. */
export interface RouteHop {
  readonly peerId: string
  /** What its owner calls it. */
  readonly name?: string | undefined
  /** The blocks that it computes for the session: `start` to `end`, `end` not included. */
  readonly start: number
  readonly end: number
  /** What it computes in: sessions give the same tokens on servers where all of these agree. */
  readonly device: string
  readonly dtype: string
  readonly quant: string
  readonly kvDType: string
  /** The form in which it gives hidden states; `dtype` where it does not know the one that is wanted. */
  readonly wireDType: string
  /** Whether it sends its outputs to the next server itself; if not, the client carries them. */
  readonly pushes: boolean
}

/** A chain's servers as its user sees them, in their order. */
export function routeHops(links: readonly Link[]): RouteHop[] {
  return links.map(({ remote: { span, form }, pushes }) => {
    const { peerId, publicName: name, device, dtype, quant, kvDType = dtype } = span.server
    const { start, end } = span
    return { peerId, name, start, end, device, dtype, quant, kvDType, wireDType: form.agreed ?? dtype, pushes }
  })
}
