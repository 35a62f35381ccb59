import type { Registry } from 'prom-client'
import type { ApiServer } from '../../../api/api-server.ts'
import type { RequestTracing } from '../../../api/http/request-span.ts'
import type { OpenModelOptions } from '../../../checkpoint/open-model.ts'
import type { SwarmLogger, SwarmNode } from '../../../swarm/node/node.ts'
import { openApi } from '../api/open-api.ts'
import type { Cleanup } from '../../process/cleanup.ts'
import { BUNDLED_MODEL } from '../../values/bundled-model.ts'
import type { ServeValues } from './options.ts'

export interface ServeApiModules {
  readonly registry: Registry | undefined
  readonly logger: SwarmLogger
  readonly cleanup: Cleanup
  readonly tracing?: RequestTracing | undefined
}

/** Opens the API's port, if it was asked for. Throws as `openApi`. */
export async function openServeApi(
  values: ServeValues,
  { registry, logger, cleanup, tracing }: ServeApiModules,
): Promise<ApiServer | undefined> {
  if (values.apiPort === undefined || registry === undefined) return undefined
  const options = { host: 'apiHost', port: 'apiPort' }
  const at = { host: values.apiHost, port: values.apiPort, options }
  return openApi(values, at, { registry, logger, cleanup, tracing })
}

/** Has the API answer with the node's model, through its own span and others'. */
export async function answerThrough(
  node: SwarmNode,
  values: ServeValues,
  { api, registry, logger, cleanup }: ServeApiModules & { readonly api: ApiServer },
  download: OpenModelOptions,
): Promise<void> {
  const { AutoDistributedModelForCausalLM } = await import('../../../client/model/model.ts')
  const { ServedModel } = await import('../../../api/models/served-model.ts')
  const { registerClientMetrics } = await import('../../../api/metrics/client-metrics.ts')
  const source = values.model ?? BUNDLED_MODEL
  const { dhtPrefix, threads, spin } = values
  const model = await AutoDistributedModelForCausalLM.fromPretrained(source, {
    node,
    dhtPrefix,
    threads,
    spin,
    logger,
    download,
  })
  cleanup.add(() => model.close())
  registerClientMetrics(registry!, model)
  const served = await ServedModel.open(model, source, values)
  cleanup.add(() => served.close())
  api.catalog.add(served)
  api.catalog.complete()
}
