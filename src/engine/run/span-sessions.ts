import type { FinishedGraph } from '../../graph/encode.ts'
import { loraInputNames } from '../../graph/lora.ts'
import type { Device } from '../../runtime/device.ts'
import type { Environment } from '../../runtime/environment.ts'
import type { Pointer } from '../../runtime/library.ts'
import type { BlockRange } from '../cache/kv-cache.ts'
import type { ResidentBlock } from '../loading/resident.ts'
import { MAX_PARTS } from '../plan/run-limits.ts'
import { PartSessions } from './part-sessions.ts'
import { type Recordings, isRefusal } from './recordings.ts'
import { type ChainedSession, createChainedSession } from './span-session.ts'

/** What a session's graphs take beside what all take: most runs need neither, and each costs nodes in every block. */
export interface SessionForm {
  /** Whether rows have adapters. */
  readonly adapted: boolean
  /** Whether deep prompts are added. */
  readonly prompted: boolean
}

/** A session over blocks `start` to `end`. */
export interface SpanSession extends ChainedSession {
  /** Whether its runs can be recorded: then those that are not must say so. */
  readonly records: boolean
}

export interface SessionKey extends BlockRange, SessionForm {
  /** Who asks for it. */
  readonly client?: string | undefined
}

export interface SpanSessionModules {
  readonly env: Environment
  readonly device: Device
  /** Of the whole span. */
  readonly blocks: readonly ResidentBlock[]
  /** A graph for each of `blocks`. */
  readonly graphs: (form: SessionForm) => readonly FinishedGraph[]
  readonly workspaceBytes: number
  /** Where decode steps are recorded. */
  readonly recordings: Recordings | undefined
}

/**
 * One session for all blocks of a run, for prompts and steps alike, made when first needed; its weights are those of
 * all other sessions.
 */
export class SpanSessions {
  readonly #modules: SpanSessionModules
  readonly #sessions: PartSessions<SpanSession>

  constructor(modules: SpanSessionModules) {
    this.#modules = modules
    this.#sessions = new PartSessions(MAX_PARTS, ({ pointer }) => this.#release(pointer))
  }

  get numSessions(): number {
    return this.#sessions.size
  }

  /** Throws `RuntimeError`. */
  get(key: SessionKey): SpanSession {
    const { start, end, adapted, prompted, client = '' } = key
    const make = () => this.#create(key)
    if (start === 0 && end === this.#modules.blocks.length) return this.#sessions.whole(`${adapted}:${prompted}`, make)
    return this.#sessions.part(`${start}:${end}:${adapted}:${prompted}`, client, make)
  }

  close(): void {
    this.#sessions.clear()
  }

  /**
   * Where a session that records cannot be made, as with a node that the device has no kernel for, one that does not.
   */
  #create(key: SessionKey): SpanSession {
    const { recordings } = this.#modules
    // What rows' adapters lie at changes with each run, and prompts are no steps.
    if (recordings === undefined || recordings.isRefused || key.adapted || key.prompted) return this.#build(key, false)
    try {
      return this.#build(key, true)
    } catch (error) {
      if (!isRefusal(error)) throw error
      const session = this.#build(key, false)
      recordings.refuse(error)
      return session
    }
  }

  #build({ start, end, adapted, prompted }: SessionKey, records: boolean): SpanSession {
    const { env, device, workspaceBytes } = this.#modules
    const blocks = this.#modules.blocks.slice(start, end)
    const graphs = this.#modules.graphs({ adapted, prompted }).slice(start, end)
    const own = ['past_key', 'past_value', ...(prompted ? ['prompts'] : []), ...graphs.flatMap(loraInputNames)]
    const options = { cudaGraphs: records, workspaceBytes }
    return { ...createChainedSession(env, device, { graphs, blocks, own }, options), records }
  }

  #release(session: Pointer): void {
    this.#modules.recordings?.forget(session)
    this.#modules.env.ort.release('ReleaseSession', session)
  }
}
