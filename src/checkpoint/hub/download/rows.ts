import { readRows } from '../../weights/read.ts'
import type { TensorSlice } from '../../weights/safetensors.ts'
import { folderError } from '../errors.ts'
import type { FetchableTensors } from '../remote/remote-model.ts'

/**
 * Reads rows `start` to `end` of a tensor's first axis as stored. If the tensor is on the hub, only these rows are
 * downloaded, and kept. Throws as `readRows`, and `HubError`.
 */
export async function readModelRows(
  { remote }: Pick<FetchableTensors, 'remote'>,
  slice: TensorSlice,
  start: number,
  end: number,
): Promise<Uint8Array> {
  const file = remote?.files.get(slice.file)
  if (remote === undefined || file === undefined) return readRows(slice, start, end)
  // Imported at first use: loading threads import this module, too, and never download.
  const [{ HubClient }, { readRemoteRows }] = await Promise.all([
    import('../remote/client.ts'),
    import('./remote-rows.ts'),
  ])
  try {
    return await readRemoteRows(new HubClient(remote.settings), file, slice, { start, end })
  } catch (error) {
    throw folderError(error, remote.settings.partsFolder)
  }
}
