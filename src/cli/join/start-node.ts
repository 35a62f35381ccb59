import { rm } from 'node:fs/promises'
import { loadIdentity } from '../../swarm/node/identity.ts'
import { SwarmError } from '../../swarm/errors.ts'
import type { Libp2pMetrics } from '../../swarm/node/libp2p.ts'
import type { Tracing } from '../../swarm/node/tracing.ts'
import { type SwarmLogger, type SwarmNode, createSwarmNode } from '../../swarm/node/node.ts'
import { checkBootstrap, checkPeerIds, checkTcpAddresses, lanOf, listenAddresses } from './addresses.ts'
import type { Cleanup } from '../process/cleanup.ts'
import type { OptionValues } from '../options/option-table.ts'
import type { lanOptions, nodeOptions, swarmOptions } from '../options/tables/swarm-options.ts'
import type { peerOptions } from '../options/tables/server-options.ts'
import { readSwarmKey } from './swarm-key.ts'

type NodeValues = OptionValues<typeof nodeOptions & typeof swarmOptions & typeof lanOptions> &
  Partial<OptionValues<typeof peerOptions>>

/** What a node tells of itself. */
export interface NodeReports {
  readonly metrics?: Libp2pMetrics | undefined
  readonly tracing?: Tracing | undefined
}

/**
 * Starts a node and, if bootstrap peers were given, waits until it has reached one; `cleanup` stops it. Throws `USAGE`
 * for an invalid address, `SWARM_IDENTITY`, `SWARM_KEY`, `SWARM_LISTEN`, `SWARM_UNREACHABLE`, `SWARM_TIMEOUT`.
 */
export async function startNode(
  values: NodeValues,
  logger: SwarmLogger,
  cleanup: Cleanup,
  { metrics, tracing }: NodeReports,
): Promise<SwarmNode> {
  const listen = listenAddresses(values)
  checkTcpAddresses('--announce', values.announce)
  checkBootstrap(values.bootstrap)
  const { allowedPeers: allowed = [], blockedPeers: blocked = [] } = values
  checkPeerIds('--allowed-peers', allowed)
  checkPeerIds('--blocked-peers', blocked)
  // An earlier run that was killed may have left its ready file behind.
  if (values.readyFile !== undefined) await rm(values.readyFile, { force: true })
  const { announce, bootstrap } = values
  const swarmKey = await readSwarmKey(values.swarmKey)
  const node = await createSwarmNode({
    identity: await loadIdentity(values.identity),
    listen,
    announce,
    bootstrap,
    lan: lanOf(values),
    swarmKey,
    peers: { allowed, blocked, bytes: values.peerMemory, requestsPerSecond: values.peerRequests },
    metrics,
    tracing,
    logger,
  })
  cleanup.add(() => node.stop())
  await node.start().catch((error: unknown) => {
    if (!(error instanceof SwarmError) || error.code !== 'SWARM_LISTEN') throw error
    throw new SwarmError('SWARM_LISTEN', `${values.port === undefined ? '--listen' : '--port'}: ${error.message}`, {
      cause: error,
    })
  })
  await node.ready()
  return node
}

/**
 * Starts a node that only dials, for clients, and waits until it has reached a bootstrap peer; `cleanup` stops it.
 * Throws as `startNode`.
 */
export async function startClientNode(
  values: OptionValues<typeof swarmOptions & typeof lanOptions> & { readonly readyFile?: string | undefined },
  logger: SwarmLogger,
  cleanup: Cleanup,
  reports: NodeReports,
): Promise<SwarmNode> {
  const { bootstrap, mdns, swarmKey, readyFile } = values
  return startNode(
    { bootstrap, mdns, swarmKey, readyFile, port: undefined, listen: [], announce: [], identity: undefined },
    logger,
    cleanup,
    reports,
  )
}
