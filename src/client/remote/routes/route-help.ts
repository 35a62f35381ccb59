import { errorMessage } from '../../../base/errors.ts'
import { clockText } from '../../../swarm/node/clock-votes.ts'
import { isJoinToken } from '../../../swarm/node/join-token.ts'
import type { SwarmNode } from '../../../swarm/node/node.ts'
import type { ServerRecord } from '../../../swarm/records/record-fields.ts'
import type { RouteFinder } from './candidates.ts'
import { NoRouteError } from './routing.ts'

/** What the swarm was joined with. */
export interface JoinedWith {
  readonly bootstrap: readonly string[]
  readonly lan?: object | undefined
  readonly modelKey: string
  readonly model?: string | undefined
  readonly dhtPrefix?: string | undefined
  readonly swarmKey?: Uint8Array | undefined
}

/** What is known where there is no route. */
export interface RouteState {
  readonly find: RouteFinder
  /** The records of servers that are there. */
  readonly reached: readonly ServerRecord[]
  /** Whether a server of the model was ever heard of. */
  readonly wasServed: boolean
  /** What is said of servers that the user's choice leaves out, if there are any. */
  readonly leftOut: string
}

const MAP_TIMEOUT_MS = 2000
const MAX_MODELS_NAMED = 8

/** Says what can be done where no route is found. */
export class RouteHelp {
  readonly #node: SwarmNode
  readonly #joined: JoinedWith

  constructor(node: SwarmNode, joined: JoinedWith) {
    this.#node = node
    this.#joined = joined
  }

  /** The error to throw in the place of one of `Candidates.route`. */
  async explain(error: unknown, { find, reached, wasServed, leftOut }: RouteState): Promise<unknown> {
    const missing = error instanceof NoRouteError ? error : missingNow(find, reached, error)
    if (missing === undefined || missing.isFinal) return missing ?? error
    const served = wasServed ? [] : await this.#servedModels()
    if (served.length > 0) {
      const { model, modelKey } = this.#joined
      return new NoRouteError(
        missing.missingBlocks,
        `nobody in this swarm serves ${model ?? 'this model'} (${modelKey}); what is served: ${namesOf(served)}` +
          this.#cure(missing),
        true,
      )
    }
    const verdict = this.#node.clocks.verdict()
    const clock = verdict === undefined ? '' : `; ${clockText(verdict)}`
    return new NoRouteError(missing.missingBlocks, `${missing.message}${leftOut}${this.#cure(missing)}${clock}`)
  }

  /** The models that have servers, by key, from the maps of the bootstrap peers. */
  async #servedModels(): Promise<string[]> {
    const { records, bootstrapPeers } = this.#node
    const signal = AbortSignal.timeout(MAP_TIMEOUT_MS)
    await Promise.allSettled(bootstrapPeers.map((peer) => records.ask(peer, '', signal)))
    return records.store.modelKeys.filter((key) => records.store.signed(key).length > 0).toSorted()
  }

  /** The command that would serve the missing blocks; empty if there are none. */
  #cure({ missingBlocks }: NoRouteError): string {
    if (missingBlocks.length === 0) return ''
    const { model, dhtPrefix, swarmKey, bootstrap, lan } = this.#joined
    const words = [
      'petals-node serve',
      ...(model === undefined ? [] : [`--model ${quoted(model)}`]),
      `--blocks ${missingBlocks[0]}:${missingBlocks.at(-1)! + 1}`,
      ...(dhtPrefix === undefined ? [] : [`--dht-prefix ${quoted(dhtPrefix)}`]),
      ...(swarmKey === undefined ? [] : ['--swarm-key FILE']),
      // A token may hold the key, which does not belong into messages.
      ...bootstrap.map((address) => `--bootstrap ${isJoinToken(address) ? 'TOKEN' : address}`),
      ...(lan === undefined ? [] : ['--mdns']),
    ]
    return `; start one with "${words.join(' ')}"`
  }
}

/** Which blocks are missing among the servers that are there, if that is why no route could be taken. */
function missingNow(find: RouteFinder, reached: readonly ServerRecord[], reason: unknown): NoRouteError | undefined {
  try {
    find(reached)
    return undefined
  } catch (error) {
    if (!(error instanceof NoRouteError)) return undefined
    return new NoRouteError(error.missingBlocks, `${error.message} (${errorMessage(reason)})`)
  }
}

function namesOf(models: readonly string[]): string {
  const more = models.length - MAX_MODELS_NAMED
  return models.slice(0, MAX_MODELS_NAMED).join(', ') + (more > 0 ? ` and ${more} more` : '')
}

/** A word as a shell reads it. */
function quoted(word: string): string {
  return /^[\w./@:=+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
