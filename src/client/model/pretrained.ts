import { availableParallelism } from 'node:os'
import { pino } from 'pino'
import { PetalsError, UsageError } from '../../base/errors.ts'
import type { Checkpoint } from '../../checkpoint/checkpoint.ts'
import { modelKey } from '../../checkpoint/weights/fingerprint.ts'
import { fetchTensors, releaseTensors } from '../../checkpoint/hub/download/fetch-tensors.ts'
import { type OpenModelOptions, openModel } from '../../checkpoint/hub/open-model.ts'
import { Tokenizer } from '../../checkpoint/tokenizer/tokenizer.ts'
import type { ModelEnds } from '../../engine/ends/ends.ts'
import type { EndsOutput } from '../../engine/loading/ends-output.ts'
import type { ActiveAdapter } from '../remote/request-adapter.ts'
import type { SwarmLogger, SwarmNode } from '../../swarm/node/node.ts'
import type { Device } from '../../runtime/device.ts'
import { SwarmClient } from '../remote/swarm-client.ts'

export interface PretrainedOptions {
  /** Addresses, with `/p2p/`, of peers of the swarm. Needed unless there is a `node`. */
  readonly bootstrap?: readonly string[]
  /**
   * A started node to go through in place of a new one; it stays the caller's. The span that it serves itself is used
   * in process, and preferred.
   */
  readonly node?: SwarmNode
  /** The 32 bytes of a private swarm's key. */
  readonly swarmKey?: Uint8Array | undefined
  /** Instead of the key that follows from the checkpoint. */
  readonly dhtPrefix?: string | undefined
  /**
   * The name of an adapter that servers hold, or an own one (`loadAdapter`): what all goes through that names no other.
   */
  readonly activeAdapter?: ActiveAdapter | undefined
  /**
   * Where embedding and head are computed: `auto`, `cpu`, `cuda` or `cuda:N`. `auto`, the default, is the device on
   * which `node` serves, and the CPU where it does not.
   */
  readonly endsDevice?: string | undefined
  /** Compute threads for embedding and head; by default one per core. */
  readonly threads?: number
  /** Whether idle compute threads burn their core, for lower latency. */
  readonly spin?: boolean
  readonly logger?: SwarmLogger
  /** How a model of the hub is fetched. */
  readonly download?: OpenModelOptions | undefined
}

/** What a kind of model wants of its checkpoint. */
export interface ModelKind {
  /** What messages call it. */
  readonly name: string
  /** What its second end gives: logits, or hidden states after the last norm. */
  readonly output: EndsOutput
  /** The only `model_type` that it takes; any where there is none. */
  readonly modelType?: string | undefined
}

/** What a distributed model is made of. All of it is closed with the model. */
export interface PretrainedParts {
  readonly checkpoint: Checkpoint
  readonly swarm: SwarmClient
  readonly ends: ModelEnds
  readonly tokenizer: Tokenizer | undefined
  readonly activeAdapter?: ActiveAdapter | undefined
}

/**
 * Opens the checkpoint `model`, a folder or a model of the hub (`org/name[@revision]`), loads its two ends and joins
 * its swarm. Throws what is wrong with either, `USAGE` without a way into the swarm, `HUB_...` for what cannot be
 * fetched, `FAMILY_MISMATCH` for a model of another family; leaves nothing open then.
 */
export async function openPretrained(
  model: string,
  options: PretrainedOptions,
  kind: ModelKind,
): Promise<PretrainedParts> {
  const { bootstrap = [], node } = options
  if ((bootstrap.length === 0) === (node === undefined)) {
    throw new UsageError(
      'a model needs a way into its swarm: bootstrap, with the address of at least one peer, or else a node',
    )
  }
  const device = await chooseEndsDevice(options)
  const opened = await openModel(model, options.download)
  checkModelType(opened.config.modelType, model, kind)
  const key = await modelKey(opened, options.dhtPrefix)
  // Not at the top: the ends load the native runtime, which who only imports this library may never need.
  const [{ ModelEnds }, { endsTensorNames }, { parseDType }] = await Promise.all([
    import('../../engine/ends/ends.ts'),
    import('../../engine/loading/tensor-names.ts'),
    import('../../runtime/device.ts'),
  ])
  const checkpoint = await fetchTensors(opened, endsTensorNames(opened, kind.output), options.download)
  const threads = { threads: options.threads ?? availableParallelism(), spin: options.spin ?? false }
  const logger = options.logger ?? pino({ level: 'silent' })
  const parts = await Promise.allSettled([
    SwarmClient.connect({
      bootstrap,
      node,
      swarmKey: options.swarmKey,
      modelKey: key,
      numBlocks: checkpoint.config.numBlocks,
      logger,
    }),
    ModelEnds.load({
      checkpoint,
      output: kind.output,
      device,
      dtype: parseDType('auto', device, checkpoint.config.dtype),
      ...threads,
    }),
    checkpoint.hasTokenizer ? Tokenizer.load(checkpoint.folder) : undefined,
  ] as const)
  // The ends are in memory by now.
  await releaseTensors(checkpoint)
  const failed = parts.find((result) => result.status === 'rejected')
  if (failed !== undefined) {
    for (const result of parts) if (result.status === 'fulfilled') await result.value?.close()
    throw failed.reason as Error
  }
  const [swarm, ends, tokenizer] = parts.map((result) => (result as PromiseFulfilledResult<unknown>).value)
  return {
    checkpoint,
    swarm: swarm as SwarmClient,
    ends: ends as ModelEnds,
    tokenizer: tokenizer as Tokenizer | undefined,
    activeAdapter: options.activeAdapter,
  }
}

/**
 * Throws `USAGE` for a device that there is not. Only where one is asked for is any looked for, which takes seconds.
 */
async function chooseEndsDevice({ endsDevice = 'auto', node }: PretrainedOptions): Promise<Device> {
  const text = endsDevice === 'auto' ? (node?.servingDevice ?? 'cpu') : endsDevice
  const { chooseDevice } = await import('../../runtime/choose-device.ts')
  return chooseDevice(text, '--ends-device')
}

/** Throws `FAMILY_MISMATCH`. */
export function checkModelType(modelType: string, model: string, kind: Pick<ModelKind, 'name' | 'modelType'>): void {
  if (kind.modelType === undefined || kind.modelType === modelType) return
  throw new PetalsError(
    'FAMILY_MISMATCH',
    `${kind.name} takes models of type ${kind.modelType}, and ${model} is of type ${modelType}: ` +
      'use the Auto class, which takes any',
  )
}
