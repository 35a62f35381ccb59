import type { RequestStream } from '../../swarm/frames/frame-stream.ts'
import type { ServerRecord } from '../../swarm/records/record-fields.ts'
import type { SwarmAccess } from '../remote/swarm-access.ts'
import type { PassMemory } from './pass-memory.ts'
import type { PassLanes } from './lanes.ts'

/** The part of the swarm that passes over whole sequences use. */
export interface PassAccess extends Pick<
  SwarmAccess,
  'modelKey' | 'peerId' | 'records' | 'route' | 'refresh' | 'avoided' | 'avoid' | 'worked' | 'links' | 'tracing'
> {
  /** What this client has given to which server. */
  readonly lanes: PassLanes
  /** Bounds what passes keep for gradients; that of the process by default. */
  readonly passMemory?: PassMemory | undefined
  open<R extends 'forward' | 'backward' | 'adapter'>(
    server: ServerRecord,
    rpc: R,
    signal: AbortSignal,
  ): Promise<RequestStream<R>>
}
