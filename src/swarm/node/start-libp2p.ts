import { parsePeerId } from '../address.ts'
import { SwarmError } from '../errors.ts'
import { connectionGate } from '../guards/connection-gate.ts'
import { MAX_PEER_CONNECTIONS } from '../limits.ts'
import { buildLibp2p, type SwarmLibp2p } from './libp2p.ts'

/** What a starting node is told of the one above it. */
export interface StartHooks {
  readonly isBlocked: (peerId: string) => boolean
  /** The last connection with a peer was closed. */
  readonly onDisconnect: (peerId: string) => void
  /** Registers what is served, before anybody can ask. */
  readonly register: (libp2p: SwarmLibp2p) => Promise<void>
}

/** Builds a libp2p node whose connections are bounded for each peer, and starts it. Throws `SWARM_LISTEN`. */
export async function startLibp2p(
  options: Omit<Parameters<typeof buildLibp2p>[0], 'gate'>,
  { isBlocked, onDisconnect, register }: StartHooks,
): Promise<SwarmLibp2p> {
  const libp2p: SwarmLibp2p = await buildLibp2p({
    ...options,
    gate: connectionGate({
      isBlocked,
      numConnections: (peerId) => libp2p.getConnections(parsePeerId(peerId)).length,
    }),
  })
  // The gate cannot count those that are set up at the same time.
  libp2p.addEventListener('connection:open', ({ detail: connection }) => {
    if (libp2p.getConnections(connection.remotePeer).length > MAX_PEER_CONNECTIONS)
      connection.abort(new SwarmError('SWARM_BUSY', 'the peer has too many connections with this node'))
  })
  libp2p.addEventListener('peer:disconnect', (event) => onDisconnect(event.detail.toString()))
  try {
    await register(libp2p)
    await libp2p.start()
  } catch (error) {
    await Promise.resolve(libp2p.stop()).catch(() => undefined)
    throw describeListenError(options.listen, error)
  }
  return libp2p
}

function describeListenError(listen: readonly string[], error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== 'UnsupportedListenAddressesError') return error
  const reason = error.message.includes('EADDRINUSE')
    ? 'the port is in use; choose another, or 0 for any free one'
    : error.message.slice(error.message.indexOf('\n')).replaceAll(/\s+/g, ' ').trim()
  return new SwarmError('SWARM_LISTEN', `cannot listen on ${listen.join(', ')}: ${reason}`, { cause: error })
}
