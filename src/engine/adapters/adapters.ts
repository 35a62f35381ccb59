/*
 * The room `adapters/`: LoRA matrices, stacked in memory that all rows of a batch share; each row uses the ranks of its
 * own adapter.
 */
import { PetalsError } from '../../base/errors.ts'
import { startWorker } from '../../base/thread/start-worker.ts'
import { Thread } from '../../base/thread/thread.ts'
import type { Adapter } from '../../checkpoint/adapter/adapter.ts'
import { CLIENT_ADAPTER } from '../../checkpoint/adapter/adapter-digest.ts'
import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { blockGraphs } from '../../families/graphs/graphs.ts'
import { CPU, type Device } from '../../runtime/device.ts'
import type { FloatDType } from '../../tensor/dtype.ts'
import { byteLength } from '../../tensor/tensor.ts'
import type { BlockRange } from '../cache/kv-cache.ts'
import { AdapterMemory, type AdapterRanks, ranksWithin } from './adapter-memory.ts'
import { type FittedAdapter, type FittedModule, fitAdapter } from '../../families/graphs/fit-adapter.ts'
import { type LoadOptions, targetOf } from '../loading/load.ts'
import { type WriteCalls, type WriteJob, isQuickToWrite, writeInPieces } from './write-adapter.ts'

export interface AdapterSpan {
  readonly config: ModelConfig
  /** Where adapters lie. */
  readonly device: Device
  readonly dtype: FloatDType
  /** Of the model's blocks, the first that is held. */
  readonly start: number
  /** Adapters take whole numbers of so many ranks, the rest of which are zeros; 1 by default. */
  readonly rankUnit?: number | undefined
}

/** WebGPU has other kernels for products of other widths, which would be compiled when somebody first asks for one. */
const WEBGPU_RANK_UNIT = 4

/** An adapter in use: its ranks stay where they are until `release`. */
export interface AdapterUse {
  readonly range: AdapterRanks
  readonly modules: readonly FittedModule[]
  release(): void
}

interface Loaded {
  readonly range: AdapterRanks
  readonly ready: Promise<void>
  users: number
}

/**
 * The adapters of a span, by name. Known ones are loaded when first used, and those that were used least recently make
 * room; one that is in use stays.
 */
export class Adapters {
  readonly #memory: AdapterMemory | undefined
  readonly #span: AdapterSpan
  readonly #known = new Map<string, FittedAdapter>()
  /** In the order of their last use. */
  readonly #loaded = new Map<string, Loaded>()
  readonly #closing = new AbortController()
  #nextId = 1

  /** Without memory for them there are none. */
  constructor(memory: AdapterMemory | undefined, span: AdapterSpan) {
    this.#memory = memory
    this.#span = span
  }

  /** Where they lie, for each block of a span that has a place for them. */
  get stacks(): AdapterMemory['blocks'] | undefined {
    return this.#memory?.blocks
  }

  /** How many ranks there is room for. */
  get ranks(): number {
    return this.#memory?.ranks ?? 0
  }

  /** Those that anybody may use. */
  get names(): string[] {
    return [...this.#known.keys()].filter((name) => !name.startsWith(CLIENT_ADAPTER))
  }

  has(name: string): boolean {
    return this.#known.has(name)
  }

  /** What the gradients of its matrices in some blocks take, in float32; 0 for one that is not known. */
  gradientBytes(name: string, { start, end }: BlockRange): number {
    const modules = this.#known.get(name)?.modules ?? []
    return modules
      .filter(({ block }) => start <= block && block < end)
      .reduce((sum, { a, b }) => sum + byteLength('float32', a.shape) + byteLength('float32', b.shape), 0)
  }

  /** Throws `ADAPTER_MISFIT`, and `ADAPTER_MEMORY` for one that would never fit. */
  add(adapter: Adapter): void {
    const fitted = fitAdapter(adapter, this.#span.config)
    if (this.#ranksOf(fitted) > this.ranks) {
      throw new PetalsError(
        'ADAPTER_MEMORY',
        `adapter ${adapter.name} has rank ${fitted.rank}, there is room for ${this.ranks}: serve with more ` +
          '--adapter-memory',
      )
    }
    this.#known.set(adapter.name, fitted)
  }

  /** Forgets an adapter that nobody uses; whether it was so. */
  remove(name: string): boolean {
    if ((this.#loaded.get(name)?.users ?? 0) > 0) return false
    this.#loaded.delete(name)
    return this.#known.delete(name)
  }

  /**
   * Loads the adapter where it is not. Throws `ADAPTER_UNKNOWN`, `ADAPTER_MEMORY` where those in use leave no room, and
   * what reading throws.
   */
  async acquire(name: string): Promise<AdapterUse> {
    const adapter = this.#known.get(name)
    if (adapter === undefined)
      throw new PetalsError(
        'ADAPTER_UNKNOWN',
        `this server has no adapter ${name.slice(0, 200)}; it has ${this.names.join(', ') || 'none'}`,
      )
    const loaded = this.#loaded.get(name) ?? this.#load(adapter)
    this.#loaded.delete(name)
    this.#loaded.set(name, loaded)
    loaded.users++
    const release = (): void => {
      loaded.users--
    }
    await loaded.ready.catch((error: unknown) => {
      release()
      if (this.#loaded.get(name) === loaded) this.#loaded.delete(name)
      throw error
    })
    return { range: loaded.range, modules: adapter.modules, release }
  }

  /** Gives the memory back, of a span that runs nothing any more. */
  close(): void {
    this.#closing.abort(new PetalsError('ENGINE_CLOSED', 'the engine was closed'))
    this.#memory?.release()
  }

  #load(adapter: FittedAdapter): Loaded {
    const range = { first: this.#makeRoom(adapter), ranks: this.#ranksOf(adapter), id: this.#nextId++ }
    const { start, device, dtype } = this.#span
    const places = (this.stacks ?? []).flatMap((stacks, i) =>
      stacks.map((stack) => ({
        stack,
        module: adapter.modules.find(({ block, module }) => block === start + i && module === stack.name),
      })),
    )
    const job = { device, dtype, range, places }
    const ready = isQuickToWrite(job) ? writeInPieces(job, this.#closing.signal) : writeInThread(job)
    return { range, users: 0, ready }
  }

  #ranksOf({ rank }: FittedAdapter): number {
    const { rankUnit = 1 } = this.#span
    return Math.ceil(rank / rankUnit) * rankUnit
  }

  #makeRoom(adapter: FittedAdapter): number {
    const { name, rank } = adapter
    for (;;) {
      const first = this.#findRoom(this.#ranksOf(adapter))
      if (first !== undefined) return first
      const idle = [...this.#loaded].find(([, { users }]) => users === 0)
      if (idle === undefined) {
        throw new PetalsError(
          'ADAPTER_MEMORY',
          `there is no room for adapter ${name} of rank ${rank} beside those in use; try again later, or ` +
            'serve with more --adapter-memory',
        )
      }
      this.#loaded.delete(idle[0])
    }
  }

  #findRoom(ranks: number): number | undefined {
    let first = 0
    for (const { range } of [...this.#loaded.values()].sort((x, y) => x.range.first - y.range.first)) {
      if (range.first - first >= ranks) return first
      first = range.first + range.ranks
    }
    return this.ranks - first >= ranks ? first : undefined
  }
}

/** The adapters of a span that is to be loaded; it has room for them where the options say so. */
export function openAdapters(options: LoadOptions): Adapters {
  const {
    checkpoint: { config },
    device,
    dtype,
    start,
    end,
    adapterBytes = 0,
  } = options
  const home = homeOf(device)
  const span = { config, device: home, dtype, start, rankUnit: device.kind === 'webgpu' ? WEBGPU_RANK_UNIT : 1 }
  if (adapterBytes === 0) return new Adapters(undefined, span)
  const graphs = blockGraphs(config, targetOf(options), start, end)
  return new Adapters(new AdapterMemory(home, graphs, dtype, ranksWithin(adapterBytes, graphs, dtype)), span)
}

/**
 * Where adapters lie: on WebGPU, whose memory has no addresses, in this process's, out of which the engine thread
 * copies those that it runs.
 */
function homeOf(device: Device): Device {
  return device.kind === 'webgpu' ? CPU : device
}

async function writeInThread(job: WriteJob): Promise<void> {
  const thread = new Thread<WriteCalls>(
    startWorker(import.meta.url, 'adapter-worker'),
    (reason) => new PetalsError('ENGINE_LOAD', `an adapter could not be loaded: ${reason}`),
  )
  try {
    await thread.call('write', job)
  } finally {
    await thread.end()
  }
}
