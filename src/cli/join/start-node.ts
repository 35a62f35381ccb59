import { rm } from 'node:fs/promises'
import { loadIdentity } from '../../swarm/node/identity.ts'
import { SwarmError } from '../../swarm/errors.ts'
import type { Libp2pMetrics } from '../../swarm/node/libp2p.ts'
import { type SwarmLogger, type SwarmNode, createSwarmNode } from '../../swarm/node/node.ts'
import { checkBootstrap, checkPeerIds, checkTcpAddresses, listenAddresses } from './addresses.ts'
import type { Cleanup } from '../process/cleanup.ts'
import type { OptionValues } from '../options/option-table.ts'
import type { nodeOptions, swarmOptions } from '../options/options.ts'
import type { peerOptions } from '../options/server-options.ts'
import { readSwarmKey } from './swarm-key.ts'

type NodeValues = OptionValues<typeof nodeOptions & typeof swarmOptions> & Partial<OptionValues<typeof peerOptions>>

/**
 * Starts a node and, if bootstrap peers were given, waits until it has reached one; `cleanup` stops it. Throws `USAGE`
 * for an invalid address, `SWARM_IDENTITY`, `SWARM_KEY`, `SWARM_LISTEN`, `SWARM_UNREACHABLE`, `SWARM_TIMEOUT`.
 */
export async function startNode(
  values: NodeValues,
  logger: SwarmLogger,
  cleanup: Cleanup,
  metrics?: Libp2pMetrics,
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
    swarmKey,
    peers: { allowed, blocked, bytes: values.peerMemory, requestsPerSecond: values.peerRequests },
    metrics,
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
