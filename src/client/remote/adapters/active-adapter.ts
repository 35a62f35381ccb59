import { type Adapter, openAdapter } from '../../../checkpoint/adapter/adapter.ts'
import type { ModelConfig } from '../../../checkpoint/config/config.ts'
import { AdapterVersions } from './adapter-versions.ts'
import type { RequestAdapter } from './request-adapter.ts'

/**
 * An adapter: the name of one that servers hold, one of the client's own, which is uploaded to the servers, or the
 * newest version of one that the client trains.
 */
export type ActiveAdapter = string | Adapter | AdapterVersions

/** Prepares an adapter for requests. Throws `ADAPTER_MISFIT` if the client's own does not fit the model. */
export function requestAdapter(adapter: ActiveAdapter, config: ModelConfig): RequestAdapter {
  if (adapter instanceof AdapterVersions) return adapter.newest
  if (typeof adapter !== 'string') return new AdapterVersions(adapter, config).fixed
  return {
    label: adapter,
    servedBy: (record) => record.adapters.includes(adapter),
    provide: async () => ({ name: adapter, forget: () => false }),
    trained: () => undefined,
  }
}

/** Opens an adapter in a folder of this machine, as PEFT saved it. Throws as `openAdapter`. */
export function loadAdapter(folder: string): Promise<Adapter> {
  return openAdapter(folder)
}
