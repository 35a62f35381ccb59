import type { FinishedGraph } from '../../../graph/encode.ts'
import type { BoundRun } from '../../../runtime/bound-run.ts'
import type { Device } from '../../../runtime/device.ts'
import type { Environment } from '../../../runtime/environment.ts'
import type { BlockRange } from '../../cache/kv-cache.ts'
import type { ResidentBlock } from '../../loading/resident.ts'
import { LruMap } from '../lru-map.ts'
import { PartSessions } from '../part-sessions.ts'
import type { SessionForm } from '../span-sessions.ts'
import { type ChainedSession, createChainedSession } from '../span-session.ts'

/** A session for so many rows, and the runs of it whose rows were the same several times. */
export interface BufferSession extends ChainedSession {
  readonly bound: LruMap<string, BoundRun>
}

/** What the graphs of a session depend on. */
export interface BufferSessionForm extends SessionForm {
  readonly rows: number
}

export interface BufferSessionKey extends BlockRange, BufferSessionForm {
  /** Who asks for it. */
  readonly client?: string | undefined
}

/** What sessions are made of. */
export interface BufferSessionModules {
  readonly env: Environment
  readonly device: Device
  /** Of the whole span. */
  readonly blocks: readonly ResidentBlock[]
  /** The graphs of the whole span's blocks, for so many rows. */
  readonly graphs: (form: BufferSessionForm) => readonly FinishedGraph[]
  /** Whether the library is to fuse quantized products with their neighbours. */
  readonly fuses: boolean
}

/** Clients ask for parts of the span, of which each is a session: those of the whole span stay, so many others do. */
const MAX_PARTS = 8

/** The same for what the same graphs are for. */
export function nameOfForm({ rows, adapted, prompted }: BufferSessionForm): string {
  return `${rows}:${adapted}:${prompted}`
}

/** What each block of a run has for itself. */
const OWN_INPUTS = /^(?:past_key|past_value|slots)\.|^lora_[ab]:|^prompts$/

/** Sets of rows that take turns. */
const MAX_BOUND = 4

/**
 * The sessions of a span: one for each number of rows, made when first needed or beforehand. Their weights are the same
 * buffers.
 */
export class BufferSessions {
  readonly #modules: BufferSessionModules
  readonly #sessions: PartSessions<BufferSession>

  constructor(modules: BufferSessionModules) {
    this.#modules = modules
    this.#sessions = new PartSessions(MAX_PARTS, (session) => this.#release(session))
  }

  /** Throws `RuntimeError`. */
  get(key: BufferSessionKey): BufferSession {
    const { start, end, client = '' } = key
    const form = nameOfForm(key)
    const make = () => this.#create(key)
    if (start === 0 && end === this.#modules.blocks.length) return this.#sessions.whole(form, make)
    return this.#sessions.part(`${start}:${end}:${form}`, client, make)
  }

  close(): void {
    this.#sessions.clear()
  }

  #create({ start, end, ...form }: BufferSessionKey): BufferSession {
    const { env, device, blocks, graphs, fuses } = this.#modules
    const span = graphs(form).slice(start, end)
    const inputs = span.flatMap((graph) => graph.inputs.map(({ name }) => name))
    const own = [...new Set(inputs)].filter((name) => OWN_INPUTS.test(name))
    const options = { cudaGraphs: false, workspaceBytes: 0, fuses }
    const chained = createChainedSession(env, device, { graphs: span, blocks: blocks.slice(start, end), own }, options)
    return { ...chained, bound: new LruMap(MAX_BOUND, (run) => run[Symbol.dispose]()) }
  }

  #release({ pointer, bound }: BufferSession): void {
    bound.clear()
    this.#modules.env.ort.release('ReleaseSession', pointer)
  }
}
