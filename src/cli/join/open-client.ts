import type { clientOptions } from '../options/tables/client-options.ts'
import { routeValues } from '../values/route-values.ts'
import type { Logger } from 'pino'
import { loadAdapter } from '../../client/remote/adapters/active-adapter.ts'
import type { Classifier } from '../../client/tuned/classifier.ts'
import type { DistributedModel, ModelClass } from '../../client/model/distributed-model.ts'
import { AutoDistributedModelForCausalLM } from '../../client/model/model.ts'
import { loadHead } from '../../client/training/results/head-folder.ts'
import { loadPrompts } from '../../client/training/results/prompts-folder.ts'
import { lanOf } from './addresses.ts'
import { BUNDLED_MODEL } from '../values/bundled-model.ts'
import type { Cleanup } from '../process/cleanup.ts'
import type { OptionValues } from '../options/option-table.ts'
import type { adapterOptions, modelOptions } from '../options/tables/model-options.ts'
import type { SwarmNode } from '../../swarm/node/node.ts'
import { ProgressView } from '../terminal/progress.ts'
import { openTracing } from '../process/tracing.ts'
import { readSwarmKey } from './swarm-key.ts'
import { tellTrouble } from '../terminal/tell-trouble.ts'

type ClientValues = OptionValues<typeof modelOptions & typeof clientOptions> &
  Partial<OptionValues<typeof adapterOptions>> & { readonly maxTime?: number | undefined }

/** What a command has for its model. */
interface ClientContext {
  readonly logger: Logger
  readonly cleanup: Cleanup
  readonly signal: AbortSignal
  /** A node to use instead of a new one. */
  readonly node?: SwarmNode | undefined
  /** Of a model that tells texts apart: its head, or the number of its labels. */
  readonly classifier?: Classifier | number | undefined
}

/**
 * Opens the model that a command's options name and joins its swarm, through `node` if there is one; `cleanup` closes
 * it. Rejects with the signal's reason, or as `fromPretrained`.
 */
export function openClient(
  values: ClientValues,
  context: Omit<ClientContext, 'classifier'>,
): Promise<AutoDistributedModelForCausalLM> {
  return openClientAs(AutoDistributedModelForCausalLM, values, context)
}

/** As `openClient`, for a model of another kind. */
export async function openClientAs<T extends DistributedModel>(
  kind: ModelClass<T> & { fromPretrained: typeof DistributedModel.fromPretrained },
  values: ClientValues,
  { logger, cleanup, signal, node, classifier }: ClientContext,
): Promise<T> {
  const { bootstrap, dhtPrefix, endsDevice, threads, spin, maxDiskSpace } = values
  const activeAdapter = values.ownAdapter === undefined ? values.activeAdapter : await loadAdapter(values.ownAdapter)
  const prompts = values.prompts === undefined ? undefined : await loadPrompts(values.prompts)
  const head = values.head === undefined ? undefined : await loadHead(values.head)
  const progress = new ProgressView(logger)
  try {
    const model = await kind.fromPretrained<T>(values.model ?? BUNDLED_MODEL, {
      ...(node === undefined
        ? { bootstrap, lan: lanOf(values), tracing: await openTracing(logger, cleanup) }
        : { node }),
      dhtPrefix,
      endsDevice,
      threads,
      spin,
      logger,
      activeAdapter,
      prompts,
      head,
      ...(classifier !== undefined && { classifier }),
      ...routeValues(values),
      recoveryTimeoutMs: Math.min(values.wait, values.maxTime ?? Infinity) * 1000,
      swarmKey: await readSwarmKey(values.swarmKey),
      download: { signal, maxDiskSpaceBytes: maxDiskSpace, onProgress: progress.download(), onTrouble: tellTrouble },
    })
    cleanup.add(() => model.close())
    signal.throwIfAborted()
    return model
  } finally {
    progress.stop()
  }
}
