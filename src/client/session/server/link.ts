import type { RemoteSession } from './remote-session.ts'
import type { SpanInputs } from '../inputs/span-inputs.ts'

/** One server of a session's chain, and the inputs of its span as far as the client holds them. */
export interface Link {
  readonly remote: RemoteSession
  readonly inputs: SpanInputs
  /** Whether the server pushes its outputs to the next one. If not, the client carries them. */
  pushes: boolean
}
