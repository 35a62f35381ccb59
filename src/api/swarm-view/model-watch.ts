import { spansOf } from '../../base/span.ts'
import type { Recovery, Waiting } from '../../client/session/inference-session.ts'
import type { SwarmNode } from '../../swarm/node/node.ts'
import type { ServerRecord } from '../../swarm/records/record-fields.ts'
import { ServerProbes } from '../../swarm/status/server-probes.ts'
import { type HappeningLog, newsBetween } from './happenings.ts'
import { modelSnapshot } from './model-snapshot.ts'
import type { ModelSnapshot, ServerName } from './snapshot.ts'

/** The part of a model that is watched. */
export interface WatchedModel {
  /** Its name in lists. */
  readonly id: string
  readonly model: {
    readonly checkpoint: { readonly config: { readonly numBlocks: number } }
    readonly swarm: {
      readonly node: SwarmNode
      readonly modelKey: string
      readonly discovery: {
        readonly directory: {
          get(peerId: string): ServerRecord | undefined
          onChange(listener: () => void): () => void
        }
      }
      avoided(): ReadonlySet<string>
    }
    on(event: 'recovery', listener: (recovery: Recovery) => void): unknown
    on(event: 'waiting', listener: (waiting: Waiting) => void): unknown
    off(event: 'recovery', listener: (recovery: Recovery) => void): unknown
    off(event: 'waiting', listener: (waiting: Waiting) => void): unknown
  }
}

/** Looks at one model's swarm, and logs what happens there. */
export class ModelWatch {
  readonly #watched: WatchedModel
  readonly #probes: ServerProbes
  readonly #log: HappeningLog
  readonly #undo: (() => unknown)[]
  #seen: ModelSnapshot | undefined

  /** `onChange` is called when something may look different; `stop` ends this. */
  constructor(watched: WatchedModel, log: HappeningLog, onChange: () => void) {
    const { model } = watched
    this.#watched = watched
    this.#log = log
    this.#probes = new ServerProbes(model.swarm.node)
    const onRecovery = (recovery: Recovery): void => {
      this.#noteRecovery(recovery)
      onChange()
    }
    const onWaiting = ({ missingBlocks }: Waiting): void => {
      log.add(watched.id, [{ kind: 'waiting', blocks: spansOf(missingBlocks).join(', ') }])
      onChange()
    }
    model.on('recovery', onRecovery)
    model.on('waiting', onWaiting)
    this.#undo = [
      () => model.off('recovery', onRecovery),
      () => model.off('waiting', onWaiting),
      model.swarm.discovery.directory.onChange(onChange),
    ]
  }

  stop(): void {
    for (const undo of this.#undo.splice(0)) undo()
  }

  /** Asks all servers for signs of life. Never rejects. */
  probe(): Promise<void> {
    return this.#probes.probe(this.#watched.model.swarm.modelKey)
  }

  /** The model's servers as they are known now; what has changed since the last look is logged. */
  look(): ModelSnapshot {
    const { id, model } = this.#watched
    const { node, modelKey } = model.swarm
    const status = this.#probes.status(modelKey, model.checkpoint.config.numBlocks)
    const snapshot = modelSnapshot({ id, status, ownPeerId: node.peerId, avoided: model.swarm.avoided() })
    if (this.#seen !== undefined) this.#log.add(id, newsBetween(this.#seen, snapshot))
    this.#seen = snapshot
    return snapshot
  }

  #noteRecovery({ lost, seconds, replayedTokens }: Recovery): void {
    const named = lost.map((peerId) => this.#nameOf(peerId))
    this.#log.add(this.#watched.id, [{ kind: 'recovery', lost: named, seconds, replayedTokens }])
  }

  #nameOf(peerId: string): ServerName {
    return { peerId, name: this.#watched.model.swarm.discovery.directory.get(peerId)?.publicName }
  }
}
