import type { Logger } from 'pino'
import { VERSION } from '../../../base/version.ts'
import { serveContact } from '../../../swarm/node/contact.ts'
import { RecordExchange } from '../../../swarm/records/record-exchange.ts'
import type { BootstrapValues } from './options.ts'
import { Cleanup } from '../../process/cleanup.ts'
import type { CommandContext } from '../command.ts'
import { createLogger } from '../../terminal/logger.ts'
import { openMetricsEndpoint } from '../../process/metrics-endpoint.ts'
import { announceReady, bestFirst } from '../../process/ready-file.ts'
import { openTracing } from '../../process/tracing.ts'
import { aborted, orAborted } from '../../../base/abort.ts'
import { TwinWatch } from '../../../server/announce/twin-watch.ts'
import { startNode } from '../../join/start-node.ts'

/**
 * Runs a node that connects other peers until it is asked to stop. Prints its addresses on stdout, the best one first.
 */
export async function runBootstrap(values: BootstrapValues, { shutdown }: CommandContext): Promise<void> {
  const logger = await createLogger(values.logLevel)
  const cleanup = new Cleanup()
  try {
    await orAborted(start(values, logger, cleanup), shutdown.signal)
    await aborted(shutdown.signal)
  } finally {
    await cleanup.run()
  }
  logger.info('stopped')
}

async function start(values: BootstrapValues, logger: Logger, cleanup: Cleanup): Promise<void> {
  let isOnline = false
  const health = () => ({ state: isOnline ? 'ONLINE' : 'JOINING', sessions: 0, alive: true })
  const metrics = await openMetricsEndpoint(values, health, cleanup)
  const tracing = await openTracing(logger, cleanup)
  const node = await startNode(values, logger, cleanup, { metrics: metrics?.ofLibp2p, tracing })
  metrics?.watchNode(node)
  const exchange = new RecordExchange(node, { version: VERSION })
  await exchange.start()
  await serveContact(node, VERSION)
  cleanup.add(() => exchange.stop())
  const twins = new TwinWatch(node)
  twins.start()
  cleanup.add(() => twins.stop())
  isOnline = true
  const multiaddrs = bestFirst(node.multiaddrs)
  cleanup.add(
    await announceReady(
      { peerId: node.peerId, multiaddrs, blocks: null, httpPort: null, metricsPort: metrics?.port ?? null },
      values.readyFile,
    ),
  )
  logger.info({ peerId: node.peerId }, `ready; others join with --bootstrap ${multiaddrs[0]}`)
  process.stdout.write(multiaddrs.map((address) => `${address}\n`).join(''))
}
