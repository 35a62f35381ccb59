import { readRows, rowRange } from '../../weights/read.ts'
import type { TensorSlice } from '../../weights/safetensors.ts'
import type { HubClient, RemoteFile } from '../remote/client.ts'
import { downloadParts } from './download.ts'

/** Which rows of a tensor's first axis are read. */
interface RowChoice {
  readonly start: number
  readonly end: number
  readonly signal?: AbortSignal | undefined
}

/**
 * Downloads rows of a tensor in a file of the hub, keeps them, and reads them as stored. Throws as `readRows`, and
 * `HubError`.
 */
export async function readRemoteRows(
  client: HubClient,
  file: RemoteFile,
  slice: TensorSlice,
  { start, end, signal }: RowChoice,
): Promise<Uint8Array> {
  const range = rowRange(slice, start, end)
  if (range.start === range.end) return new Uint8Array()
  const located = await downloadParts(client, [{ file, ranges: [range] }], { signal })
  const [place] = located.get(file)!
  const rows = end - start
  const here = { ...slice, ...place!, shape: [rows, ...slice.shape.slice(1)], byteLength: range.end - range.start }
  return readRows(here, 0, rows)
}
