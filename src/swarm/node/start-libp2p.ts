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
  // The gate counts open connections only, so several that are set up at the same time pass it.
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

/** Why an address cannot be listened on, by the system's code. */
const LISTEN_PROBLEMS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use; choose another, or 0 for any free one',
  EADDRNOTAVAIL: 'this machine has no such address; /ip4/0.0.0.0/tcp/0 stands for all that it has',
  EACCES: 'the system does not allow it; choose a port from 1024 on, or 0 for any free one',
  ENOTFOUND: 'the name belongs to no address',
  EAI_AGAIN: 'the name cannot be looked up',
}

function describeListenError(listen: readonly string[], error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== 'UnsupportedListenAddressesError') return error
  const known = Object.entries(LISTEN_PROBLEMS).find(([code]) => error.message.includes(code))?.[1]
  // libp2p puts the stack of each address's error below its own message.
  const reason = known ?? /Error: (.+)/.exec(error.message)?.[1] ?? error.message.split('\n')[0]!
  return new SwarmError('SWARM_LISTEN', `cannot listen on ${listen.join(', ')}: ${reason}`, { cause: error })
}
