import { parseReplayCopies } from '../values/replay-copies.ts'
import type { Logger } from 'pino'
import { loadAdapter } from '../../client/remote/active-adapter.ts'
import { AutoDistributedModelForCausalLM } from '../../client/model/model.ts'
import { BUNDLED_MODEL } from '../values/bundled-model.ts'
import type { Cleanup } from '../process/cleanup.ts'
import type { OptionValues } from '../options/option-table.ts'
import type {
  adapterOptions,
  endsOptions,
  modelOptions,
  routeOptions,
  swarmOptions,
  threadOptions,
} from '../options/options.ts'
import { ProgressView } from '../terminal/progress.ts'
import { readSwarmKey } from './swarm-key.ts'
import { tellTrouble } from '../terminal/tell-trouble.ts'

type ClientValues = OptionValues<
  typeof modelOptions &
    typeof adapterOptions &
    typeof swarmOptions &
    typeof routeOptions &
    typeof endsOptions &
    typeof threadOptions
> & { readonly maxTime?: number | undefined }

/**
 * Opens the model that a command's options name and joins its swarm; `cleanup` closes it. Rejects with the signal's
 * reason, or as `fromPretrained`.
 */
export async function openClient(
  values: ClientValues,
  logger: Logger,
  cleanup: Cleanup,
  signal: AbortSignal,
): Promise<AutoDistributedModelForCausalLM> {
  const { bootstrap, dhtPrefix, endsDevice, threads, spin, maxDiskSpace } = values
  const activeAdapter = values.ownAdapter === undefined ? values.activeAdapter : await loadAdapter(values.ownAdapter)
  const progress = new ProgressView(logger)
  try {
    const model = await AutoDistributedModelForCausalLM.fromPretrained(values.model ?? BUNDLED_MODEL, {
      bootstrap,
      dhtPrefix,
      endsDevice,
      threads,
      spin,
      logger,
      activeAdapter,
      allowedServers: values.allowedServers,
      blockedServers: values.blockedServers,
      exact: values.exact,
      quant: values.quant,
      dtype: values.dtype,
      stepTimeoutMs: values.stepTimeout * 1000,
      replayCopies: parseReplayCopies(values.replayCopies),
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
