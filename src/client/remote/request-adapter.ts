import { setImmediate as nextTurn } from 'node:timers/promises'
import { PetalsError } from '../../base/errors.ts'
import { type Adapter, openAdapter } from '../../checkpoint/adapter.ts'
import { AdapterDigest, type LoadedModule } from '../../checkpoint/adapter/adapter-digest.ts'
import { isFloatDType, type ModelConfig } from '../../checkpoint/config/config.ts'
import { CheckpointError } from '../../checkpoint/errors.ts'
import { readRows } from '../../checkpoint/weights/read.ts'
import type { TensorSlice } from '../../checkpoint/weights/safetensors.ts'
import { type FittedAdapter, fitAdapter } from '../../families/fit-adapter.ts'
import { withDeadline } from '../../swarm/deadline.ts'
import type { RequestStream } from '../../swarm/frames/frame-stream.ts'
import type { Answer } from '../../swarm/frames/messages.ts'
import type { ServerRecord } from '../../swarm/records/record-fields.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import type { AdapterServers, RouteSpan } from './route-request.ts'

/** An adapter: the name of one that servers hold, or one of the client's own, which is uploaded to the servers. */
export type ActiveAdapter = string | Adapter

/** The adapter of a session or a request. */
export interface RequestAdapter extends AdapterServers {
  /** The adapter's name on a server. The client's own adapter is uploaded first, if the server lacks it. */
  provide(swarm: AdapterAccess, span: RouteSpan): Promise<string>
}

/** The part of the swarm that uploads use. */
export interface AdapterAccess {
  readonly modelKey: string
  open(server: ServerRecord, rpc: 'adapter', signal: AbortSignal): Promise<RequestStream<'adapter'>>
}

const CONNECT_TIMEOUT_MS = 10_000
const ANSWER_TIMEOUT_MS = 60_000

/** Prepares an adapter for requests. Throws `ADAPTER_MISFIT` if the client's own does not fit the model. */
export function requestAdapter(adapter: ActiveAdapter, config: ModelConfig): RequestAdapter {
  if (typeof adapter !== 'string') return new OwnAdapter(fitAdapter(adapter, config))
  return { label: adapter, servedBy: (record) => record.adapters.includes(adapter), provide: async () => adapter }
}

/** Opens an adapter in a folder of this machine, as PEFT saved it. Throws as `openAdapter`. */
export function loadAdapter(folder: string): Promise<Adapter> {
  return openAdapter(folder)
}

/** The client's own adapter. Each server gets only the modules of the blocks that it computes. */
class OwnAdapter implements RequestAdapter {
  readonly label: string
  readonly #adapter: FittedAdapter
  /**
   * The name of each part of the adapter, by the span whose modules it has: chains with the same cuts need not compute
   * it again.
   */
  readonly #named = new Map<string, Promise<string>>()

  constructor(adapter: FittedAdapter) {
    this.label = `${adapter.name} (this client's own)`
    this.#adapter = adapter
  }

  servedBy(record: ServerRecord): boolean {
    return record.clientAdapters === true
  }

  async provide(swarm: AdapterAccess, span: RouteSpan): Promise<string> {
    const key = `${span.start}:${span.end}`
    const naming = this.#named.get(key) ?? this.#name(span)
    this.#named.set(key, naming)
    const name = await naming
    const { server } = span
    const stream = await withDeadline(`dialling peer ${server.peerId}`, CONNECT_TIMEOUT_MS, undefined, (signal) =>
      swarm.open(server, 'adapter', signal),
    )
    try {
      await stream.send({ kind: 'offer', modelKey: swarm.modelKey, adapter: name })
      if ((await answer(stream)) === 'send') {
        for await (const module of this.#modules(span)) await stream.send({ kind: 'module', ...module })
        await stream.send({ kind: 'complete' })
        await answer(stream)
      }
      void stream.end()
    } catch (error) {
      stream.abort(error as Error)
      throw error
    }
    return name
  }

  async #name(span: RouteSpan): Promise<string> {
    const digest = new AdapterDigest()
    for await (const module of this.#modules(span)) {
      digest.add(module)
      await nextTurn()
    }
    return digest.name()
  }

  /** The adapter's modules within a span, with their matrices in memory. */
  async *#modules({ start, end }: RouteSpan): AsyncGenerator<LoadedModule> {
    for (const { block, name, scaling, a, b } of this.#adapter.modules) {
      if (start <= block && block < end) yield { name, scaling, a: await inMemory(a), b: await inMemory(b) }
    }
  }
}

async function answer(stream: RequestStream<'adapter'>): Promise<Answer<'adapter'>['kind']> {
  const message = await stream.receive({ timeoutMs: ANSWER_TIMEOUT_MS })
  if (message === null) throw new PetalsError('SESSION_REQUEST', `peer ${stream.remotePeer} did not answer an adapter`)
  return message.kind
}

async function inMemory(matrix: TensorSlice | Tensor): Promise<Tensor> {
  if (!('file' in matrix)) return matrix
  const { dtype, shape } = matrix
  if (!isFloatDType(dtype))
    throw new CheckpointError('CHECKPOINT_DTYPE', `${matrix.name} in ${matrix.file} is ${dtype}, not a float type`)
  return { dtype, shape, data: await readRows(matrix, 0, shape[0]!) }
}
