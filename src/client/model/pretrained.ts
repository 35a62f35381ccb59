import { availableParallelism } from 'node:os'
import { pino } from 'pino'
import { PetalsError, UsageError } from '../../base/errors.ts'
import type { Checkpoint } from '../../checkpoint/checkpoint.ts'
import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { modelKey } from '../../checkpoint/model-key.ts'
import { fetchTensors, releaseTensors } from '../../checkpoint/hub/download/fetch-tensors.ts'
import { openModel } from '../../checkpoint/open-model.ts'
import { Tokenizer } from '../../checkpoint/tokenizer/tokenizer.ts'
import type { ModelEnds } from '../../engine/ends/ends.ts'
import type { EndsOutput } from '../../engine/loading/ends-output.ts'
import type { ActiveAdapter } from '../remote/adapters/active-adapter.ts'
import type { Device } from '../../runtime/device.ts'
import { type WireChoice, checkWireChoice } from '../remote/routes/wire-dtype.ts'
import type { ReplayCopies } from '../session/open.ts'
import { checkPretrainedOptions } from './check-options.ts'
import { type Classifier, checkClassifier } from '../tuned/classifier.ts'
import type { PretrainedOptions } from './pretrained-options.ts'
import { SwarmClient } from '../blocks/swarm-client.ts'
import { type TunedHead, checkTunedHead, headWeightsOf } from '../tuned/tuned-head.ts'
import { type TunedPrompts, checkTunedPrompts } from '../tuned/tuned-prompts.ts'

/** What a class of models needs of its checkpoint. */
export interface ModelKind {
  /** The class's name, for messages. */
  readonly name: string
  /** What is computed after the last block: logits, or hidden states after the last norm. */
  readonly output: EndsOutput
  /** The only `model_type` that is accepted; undefined: any. */
  readonly modelType?: string | undefined
}

/** The parts of a distributed model; all are closed with it. */
export interface PretrainedParts {
  readonly checkpoint: Checkpoint
  readonly swarm: SwarmClient
  readonly ends: ModelEnds
  readonly tokenizer: Tokenizer | undefined
  readonly activeAdapter?: ActiveAdapter | undefined
  readonly prompts?: TunedPrompts | undefined
  readonly head?: TunedHead | undefined
  readonly classifier?: Classifier | number | undefined
  readonly stepTimeoutMs?: number | undefined
  readonly replayCopies?: ReplayCopies | undefined
  readonly wireDType?: WireChoice | undefined
  readonly recoveryTimeoutMs?: number | undefined
}

/**
 * Opens the checkpoint `model`, a folder or a model of the hub (`org/name[@revision]`), loads embedding, last norm and
 * head, and joins the model's swarm. Throws the errors of the checkpoint and of the swarm, `USAGE` without a bootstrap
 * peer or node, `PROMPTS_MISFIT`, `CLASSIFIER_MISFIT`, `HEAD_MISFIT`, `HUB_...` for failed downloads, and
 * `FAMILY_MISMATCH` for a model of another family; leaves nothing open then.
 */
export async function openPretrained(
  model: string,
  options: PretrainedOptions,
  kind: ModelKind,
): Promise<PretrainedParts> {
  checkPretrainedOptions(options)
  checkWireChoice(options.wireDType ?? 'auto', options)
  const { bootstrap = [], node } = options
  if ((bootstrap.length === 0 && options.lan === undefined) === (node === undefined)) {
    throw new UsageError(
      'a model needs a way into its swarm: bootstrap, with the address of at least one peer, lan, or else a node',
    )
  }
  const device = await chooseEndsDevice(options)
  const opened = await openModel(model, options.download)
  checkModelType(opened.config.modelType, model, kind)
  const key = await modelKey(opened, options.dhtPrefix)
  checkTrained(options, kind, opened.config, key)
  // Imported here: these modules load the native runtime, which programs that only import this library may never need.
  const [{ ModelEnds }, { endsTensorNames }, { parseDType }] = await Promise.all([
    import('../../engine/ends/ends.ts'),
    import('../../engine/loading/tensor-names.ts'),
    import('../../runtime/device.ts'),
  ])
  const checkpoint = await fetchTensors(opened, endsTensorNames(opened, kind.output), options.download)
  const threads = { threads: options.threads ?? availableParallelism(), spin: options.spin ?? false }
  const logger = options.logger ?? pino({ level: 'silent' })
  for (const note of checkpoint.notes) logger.info(note)
  const parts = await Promise.allSettled([
    SwarmClient.connect({
      bootstrap,
      lan: options.lan,
      node,
      swarmKey: options.swarmKey,
      modelKey: key,
      model,
      dhtPrefix: options.dhtPrefix,
      allowedServers: options.allowedServers,
      blockedServers: options.blockedServers,
      exact: options.exact,
      quant: options.quant,
      dtype: options.dtype,
      checkpointDType: checkpoint.config.dtype,
      numBlocks: checkpoint.config.numBlocks,
      logger,
      tracing: options.tracing,
    }),
    ModelEnds.load({
      checkpoint,
      output: kind.output,
      device,
      dtype: parseDType('auto', device, checkpoint.config.dtype),
      head: options.head && headWeightsOf(options.head),
      ...threads,
    }),
    checkpoint.hasTokenizer ? Tokenizer.load(checkpoint.folder) : undefined,
  ] as const)
  // The tensors are in memory now; their files may be evicted.
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
    prompts: options.prompts,
    head: options.head,
    classifier: options.classifier,
    stepTimeoutMs: options.stepTimeoutMs,
    replayCopies: options.replayCopies,
    wireDType: options.wireDType,
    recoveryTimeoutMs: options.recoveryTimeoutMs,
  }
}

/** Checks what was trained for a model. Throws `PROMPTS_MISFIT`, `CLASSIFIER_MISFIT`, `HEAD_MISFIT` and `USAGE`. */
function checkTrained(
  { prompts, head, classifier }: PretrainedOptions,
  { name, output }: ModelKind,
  config: ModelConfig,
  key: string,
): void {
  if (head !== undefined && output !== 'logits')
    throw new UsageError(`${name} predicts no tokens: a head is for AutoDistributedModelForCausalLM`)
  if (head !== undefined) checkTunedHead(head, config, key)
  if (prompts !== undefined) checkTunedPrompts(prompts, config, key)
  if (typeof classifier === 'object') checkClassifier(classifier, config.hiddenSize, key)
}

/**
 * The device for embedding and head. Looks for a GPU, which takes seconds, only if one is asked for. Throws `USAGE` if
 * it cannot be used.
 */
async function chooseEndsDevice({ endsDevice = 'auto', node }: PretrainedOptions): Promise<Device> {
  const text = endsDevice === 'auto' ? (node?.servingDevice ?? 'cpu') : endsDevice
  const { chooseDevice } = await import('../../runtime/choose-device.ts')
  return chooseDevice(text, '--ends-device')
}

/** Throws `FAMILY_MISMATCH` if the model's type is not the one that the class accepts. */
export function checkModelType(modelType: string, model: string, kind: Pick<ModelKind, 'name' | 'modelType'>): void {
  if (kind.modelType === undefined || kind.modelType === modelType) return
  throw new PetalsError(
    'FAMILY_MISMATCH',
    `${kind.name} takes models of type ${kind.modelType}, and ${model} is of type ${modelType}: ` +
      'use the Auto class, which takes any',
  )
}
