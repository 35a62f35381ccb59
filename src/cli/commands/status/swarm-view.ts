import { openModel } from '../../../checkpoint/open-model.ts'
import { modelKey } from '../../../checkpoint/model-key.ts'
import type { ClockVerdict } from '../../../swarm/node/clock-votes.ts'
import { askContact } from '../../../swarm/node/contact.ts'
import { loadIdentity } from '../../../swarm/node/identity.ts'
import { type SwarmNode, createSwarmNode } from '../../../swarm/node/node.ts'
import type { RecordExchange } from '../../../swarm/records/record-exchange.ts'
import type { Cleanup } from '../../process/cleanup.ts'
import { createLogger } from '../../terminal/logger.ts'
import type { StatusValues } from './options.ts'
import { lanOf } from '../../join/addresses.ts'
import { readSwarmKey } from '../../join/swarm-key.ts'
import { type ModelStatus, numBlocksOf } from '../../../swarm/status/model-status.ts'
import { ServerProbes } from '../../../swarm/status/server-probes.ts'
import { tellTrouble } from '../../terminal/tell-trouble.ts'

/** How long a bootstrap peer may take to tell the time. */
const ANSWER_TIMEOUT_MS = 3000

interface WantedModel {
  readonly key: string
  /** Known only if the model's checkpoint was named. */
  readonly numBlocks?: number
}

/** Who serves what, as seen by one peer of a swarm. */
export class SwarmView {
  readonly #node: SwarmNode
  readonly #wanted: WantedModel | undefined
  readonly #probes: ServerProbes

  /** Joins the swarm; `cleanup` leaves it. Throws as `startNode`. */
  static async open(values: StatusValues, cleanup: Cleanup): Promise<SwarmView> {
    const wanted = await wantedModel(values)
    const logger = await createLogger(values.logLevel)
    const swarmKey = await readSwarmKey(values.swarmKey)
    const node = await createSwarmNode({
      identity: await loadIdentity(),
      listen: [],
      bootstrap: values.bootstrap,
      lan: lanOf(values),
      swarmKey,
      logger,
    })
    cleanup.add(() => node.stop())
    await node.start()
    await node.ready()
    return new SwarmView(node, wanted)
  }

  private constructor(node: SwarmNode, wanted: WantedModel | undefined) {
    this.#node = node
    this.#wanted = wanted
    this.#probes = new ServerProbes(node)
  }

  /** Whose clock is off, if one is. */
  get clock(): ClockVerdict | undefined {
    return this.#node.clocks.verdict()
  }

  get #exchange(): RecordExchange {
    return this.#node.records
  }

  /** The status of all models of the swarm, or of the one that was asked for. */
  models(): ModelStatus[] {
    const { store } = this.#exchange
    const models = this.#keys().map((key) =>
      this.#probes.status(key, this.#wanted?.numBlocks ?? numBlocksOf(key, store.hold(key).records())),
    )
    return models.filter(({ servers }) => this.#wanted !== undefined || servers.length > 0)
  }

  /**
   * Asks the bootstrap peers for all their records, and each server for a sign of life. Rejects if no bootstrap peer
   * answers.
   */
  async refresh(): Promise<void> {
    const peers = this.#node.bootstrapPeers
    const asks = peers.map((peer) => this.#exchange.ask(peer, this.#wanted?.key ?? ''))
    // It tells the node what time it is there: with a clock that is off, records look expired.
    const contacts = peers.map((peer) =>
      askContact(this.#node, peer, undefined, AbortSignal.timeout(ANSWER_TIMEOUT_MS)),
    )
    const [answers] = await Promise.all([Promise.allSettled(asks), Promise.allSettled(contacts)])
    const failed = answers.find((answer) => answer.status === 'rejected')
    if (failed !== undefined && answers.every(({ status }) => status === 'rejected')) throw failed.reason as Error
    await Promise.all(this.#keys().map((key) => this.#probes.probe(key)))
  }

  /** Calls `listener` after each change that peers report, from now on; `cleanup` ends it. */
  async follow(listener: () => void, cleanup: Cleanup): Promise<void> {
    await this.#exchange.start(this)
    cleanup.add(() => this.#exchange.stop(this))
    const followed = new Map<string, () => void>()
    const follow = (key: string): void => {
      if (!followed.has(key)) followed.set(key, this.#exchange.store.hold(key).onChange(listener))
    }
    for (const key of this.#keys()) follow(key)
    cleanup.add(
      this.#exchange.store.onModel((key, known) => {
        if (known && (this.#wanted === undefined || this.#wanted.key === key)) follow(key)
        listener()
      }),
    )
    cleanup.add(() => {
      for (const release of followed.values()) release()
    })
  }

  #keys(): string[] {
    return this.#wanted === undefined ? this.#exchange.store.modelKeys.toSorted() : [this.#wanted.key]
  }
}

async function wantedModel({ model, dhtPrefix, maxDiskSpace }: StatusValues): Promise<WantedModel | undefined> {
  if (model === undefined) return dhtPrefix === undefined ? undefined : { key: dhtPrefix }
  const checkpoint = await openModel(model, { maxDiskSpaceBytes: maxDiskSpace, onTrouble: tellTrouble })
  return { key: await modelKey(checkpoint, dhtPrefix), numBlocks: checkpoint.config.numBlocks }
}
