import type { FinishedGraph } from '../../graph/encode.ts'
import { loraInputNames } from '../../graph/lora.ts'
import type { BoundRun } from '../../runtime/bound-run.ts'
import type { Device } from '../../runtime/device.ts'
import type { Environment } from '../../runtime/environment.ts'
import type { Pointer } from '../../runtime/library.ts'
import { LruMap } from './lru-map.ts'
import type { ResidentBlock } from '../loading/resident.ts'
import { type ChainedSession, createChainedSession } from './span-session.ts'

/** A session over blocks `start` to `end`, and the recorded runs of it. */
export interface SpanSession extends ChainedSession {
  readonly recorded: LruMap<string, RecordedRun>
}

export interface RecordedRun {
  readonly graphId: number
  readonly run: BoundRun
  /** Whether a run has ended well: from then on it is replayed. */
  isRecorded: boolean
}

export interface SessionKey {
  readonly start: number
  readonly end: number
  /** Whether its runs are recorded as CUDA graphs; the others are of any shape. */
  readonly records: boolean
}

/**
 * Parts of the span that somebody asks for: each takes some 70 MB of device memory. They push one another out, and not
 * the sessions of the whole span.
 */
const MAX_PARTS = 6

/** Kinds of decode steps of one session: buckets of rows, by capacity and rotary table. */
const MAX_RECORDED = 64

/**
 * One session for all blocks of a run, made when first needed; its weights are those of all other sessions. The
 * recorded graphs belong to the thread that runs them.
 */
export class SpanSessions {
  readonly #env: Environment
  readonly #device: Device
  readonly #graphs: readonly FinishedGraph[]
  readonly #blocks: readonly ResidentBlock[]
  readonly #workspaceBytes: number
  /** Of the whole span, with and without graphs. */
  readonly #whole = new Map<boolean, SpanSession>()
  readonly #parts = new LruMap<string, SpanSession>(MAX_PARTS, (session) => this.#release(session))
  #nextGraphId = 1

  /** `graphs` has one for each of `blocks`. */
  constructor(
    env: Environment,
    device: Device,
    graphs: readonly FinishedGraph[],
    blocks: readonly ResidentBlock[],
    workspaceBytes: number,
  ) {
    this.#env = env
    this.#device = device
    this.#graphs = graphs
    this.#blocks = blocks
    this.#workspaceBytes = workspaceBytes
  }

  get numSessions(): number {
    return this.#whole.size + this.#parts.size
  }

  /** Throws `RuntimeError`. */
  get(key: SessionKey): SpanSession {
    const { start, end, records } = key
    if (start > 0 || end < this.#blocks.length)
      return this.#parts.get(`${start}:${end}:${records}`, () => this.#create(key))
    const session = this.#whole.get(records) ?? this.#create(key)
    this.#whole.set(records, session)
    return session
  }

  /** A number that no other graph of any session has. 0 and -1 mean something else to the runtime. */
  newGraphId(): number {
    return this.#nextGraphId++
  }

  close(): void {
    for (const session of this.#whole.values()) this.#release(session)
    this.#whole.clear()
    this.#parts.clear()
  }

  #create({ start, end, records }: SessionKey): SpanSession {
    const blocks = this.#blocks.slice(start, end)
    const graphs = this.#graphs.slice(start, end)
    const own = ['past_key', 'past_value', ...graphs.flatMap(loraInputNames)]
    const options = { cudaGraphs: records, workspaceBytes: this.#workspaceBytes }
    const session = createChainedSession(this.#env, this.#device, { graphs, blocks, own }, options)
    return { ...session, recorded: new LruMap(MAX_RECORDED, (recorded) => this.#forget(session.pointer, recorded)) }
  }

  #forget(session: Pointer, { run, graphId, isRecorded }: RecordedRun): void {
    run[Symbol.dispose]()
    if (!isRecorded || this.#device.kind !== 'cuda') return
    try {
      this.#env.ort.call('SessionReleaseCapturedGraph', session, graphId)
    } catch {
      // It goes with its session then; the step that needed the room is not to fail for it.
    }
  }

  #release({ pointer, recorded }: SpanSession): void {
    recorded.clear()
    this.#env.ort.release('ReleaseSession', pointer)
  }
}
