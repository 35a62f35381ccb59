import type { Checkpoint } from '../../checkpoint.ts'
import { readRows, rowRange } from '../../weights/read.ts'
import type { TensorSlice } from '../../weights/safetensors.ts'
import { folderError } from '../errors.ts'

/**
 * Reads rows `start` to `end` of a tensor's first axis as stored. If the tensor is on the hub, only these rows are
 * downloaded, and kept. Throws as `readRows`, and `HubError`.
 */
export async function readModelRows(
  { remote }: Checkpoint,
  slice: TensorSlice,
  start: number,
  end: number,
): Promise<Uint8Array> {
  const file = remote?.files.get(slice.file)
  const range = rowRange(slice, start, end)
  if (remote === undefined || file === undefined || range.start === range.end) return readRows(slice, start, end)
  // Imported at first use: loading threads import this module, too, and never download.
  const [{ HubClient }, { downloadParts }] = await Promise.all([import('../remote/client.ts'), import('./download.ts')])
  try {
    const located = await downloadParts(new HubClient(remote.settings), [{ file, ranges: [range] }], {})
    const [place] = located.get(file)!
    const rows = end - start
    const here = { ...slice, ...place!, shape: [rows, ...slice.shape.slice(1)], byteLength: range.end - range.start }
    return await readRows(here, 0, rows)
  } catch (error) {
    throw folderError(error, remote.settings.partsFolder)
  }
}
