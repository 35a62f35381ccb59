import { VERSION } from '../../base/version.ts'
import { openCheckpoint } from '../../checkpoint/checkpoint.ts'
import { modelKey } from '../../checkpoint/fingerprint.ts'
import { groupByPeer } from '../../swarm/address.ts'
import { loadIdentity } from '../../swarm/identity.ts'
import { createSwarmNode } from '../../swarm/node.ts'
import { RecordExchange } from '../../swarm/record-exchange.ts'
import { requireBootstrap } from '../addresses.ts'
import { Cleanup } from '../cleanup.ts'
import type { CommandContext } from '../command.ts'
import { createLogger } from '../logger.ts'
import { orAborted } from '../shutdown.ts'
import type { StatusValues } from '../status.ts'
import { type ModelStatus, modelStatus, numBlocksOf } from './model-status.ts'
import { renderStatus } from './render.ts'

/** A server that serves answers in milliseconds. */
const ANSWER_TIMEOUT_MS = 3000

/** Asks the named peers once and prints what they know. */
export async function runStatus(values: StatusValues, { shutdown }: CommandContext): Promise<void> {
  requireBootstrap(values.bootstrap)
  const cleanup = new Cleanup()
  let models: ModelStatus[]
  try {
    models = await orAborted(askPeers(values, cleanup), shutdown.signal)
  } finally {
    await cleanup.run()
  }
  process.stdout.write(values.json ? `${JSON.stringify({ models }, undefined, 2)}\n` : renderStatus(models, Date.now()))
}

async function askPeers(values: StatusValues, cleanup: Cleanup): Promise<ModelStatus[]> {
  const wanted = await wantedModel(values)
  const logger = await createLogger(values.logLevel)
  const node = await createSwarmNode({ identity: await loadIdentity(), listen: [], bootstrap: values.bootstrap, logger })
  cleanup.add(() => node.stop())
  await node.start()
  await node.ready()
  const exchange = new RecordExchange(node, { version: VERSION })
  const answers = await Promise.allSettled(groupByPeer(values.bootstrap).map((peer) => exchange.ask(peer, wanted?.key ?? '')))
  const failed = answers.find((answer) => answer.status === 'rejected')
  if (failed !== undefined && answers.every(({ status }) => status === 'rejected')) throw failed.reason as Error
  const keys = wanted === undefined ? exchange.store.modelKeys.toSorted() : [wanted.key]
  const models = await Promise.all(keys.map(async (key) => {
    const silent = await findSilent(exchange, key)
    const records = exchange.store.hold(key).records()
    return modelStatus(key, wanted?.numBlocks ?? numBlocksOf(key, records), records, silent)
  }))
  return models.filter(({ servers }) => wanted !== undefined || servers.length > 0)
}

/** Servers that do not answer a request of their own within a short time. */
async function findSilent(exchange: RecordExchange, key: string): Promise<Set<string>> {
  const records = exchange.store.hold(key).records()
  const silent = await Promise.all(records.map((record) =>
    exchange.ask(record, key, AbortSignal.timeout(ANSWER_TIMEOUT_MS)).then(() => [], () => [record.peerId])))
  return new Set(silent.flat())
}

/** The model that was asked for; its blocks are known only where its checkpoint was named. */
async function wantedModel({ model, dhtPrefix }: StatusValues): Promise<{ key: string, numBlocks?: number } | undefined> {
  if (model === undefined) return dhtPrefix === undefined ? undefined : { key: dhtPrefix }
  const checkpoint = await openCheckpoint(model)
  return { key: await modelKey(checkpoint, dhtPrefix), numBlocks: checkpoint.config.numBlocks }
}
