import type { RequestStream } from '../../../swarm/frames/frame-stream.ts'
import type { ServerRecord } from '../../../swarm/records/record-fields.ts'
import type { AdapterServers, RouteSpan } from '../routes/route-request.ts'

/** The shapes of an adapter's modules, by name: A [rank, in], B [out, rank]. */
export type ModuleShapes = ReadonlyMap<string, { readonly a: readonly number[]; readonly b: readonly number[] }>

/** How a server is provided with an adapter. */
export interface ProvideOptions {
  /** Whether a server that has taken it once is believed to have it still. */
  readonly trusts?: boolean
  readonly signal?: AbortSignal | undefined
}

/** An adapter as a server has it. */
export interface ProvidedAdapter {
  readonly name: string
  /** Notes that the server has lost it. False for an adapter that the client cannot bring again. */
  forget(): boolean
}

/** The adapter of a session or a request. */
export interface RequestAdapter extends AdapterServers {
  /**
   * The adapter on a server. The client's own is uploaded first, if the server lacks it; undefined where it has nothing
   * for the span's blocks.
   */
  provide(swarm: AdapterAccess, span: RouteSpan, options?: ProvideOptions): Promise<ProvidedAdapter | undefined>
  /** The modules within some blocks whose gradients are wanted; undefined where the adapter is not trained. */
  trained(blocks: Pick<RouteSpan, 'start' | 'end'>): ModuleShapes | undefined
}

/** The part of the swarm that uploads use. */
export interface AdapterAccess {
  readonly modelKey: string
  open(server: ServerRecord, rpc: 'adapter', signal: AbortSignal): Promise<RequestStream<'adapter'>>
}
