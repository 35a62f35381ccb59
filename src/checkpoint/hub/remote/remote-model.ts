import type { TensorSlice } from '../../weights/safetensors.ts'
import type { HubSettings } from '../settings.ts'
import type { RemoteFile } from './client.ts'

/** A model of the hub, and where to get its tensors that are not on this machine. Plain data. */
export interface RemoteModel {
  readonly settings: HubSettings
  readonly repo: string
  /** The branch, tag or commit that the user named; `commit` is the commit that it stood for. */
  readonly revision: string
  readonly commit: string
  /** The files that are not completely here, by the path that their tensors' slices name. */
  readonly files: ReadonlyMap<string, RemoteFile>
  /** Leases that keep the fetched parts from being evicted. */
  readonly leases: readonly string[]
}

/** A model's tensors, some of which may still be on the hub. */
export interface FetchableTensors {
  /** Where each tensor's bytes lie, by the tensor's name as stored. */
  readonly tensors: ReadonlyMap<string, TensorSlice>
  /** Where to download the tensors that are not on this machine; undefined for a model in a folder. */
  readonly remote?: RemoteModel
}
