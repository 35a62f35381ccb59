import { lstat, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CheckpointError } from '../../files/errors.ts'
import type { TensorSlice } from '../../weights/safetensors.ts'
import { HubClient, type RemoteFile } from '../remote/client.ts'
import { countMissing, downloadParts, type Located, type WantedRanges } from './download.ts'
import { folderError } from '../errors.ts'
import { removeLease } from '../cache/leases.ts'
import { PartFolder, partFolderOf } from '../cache/part-folder.ts'
import { parseRangeKey, rangeBytes } from '../remote/ranges.ts'
import type { FetchableTensors, RemoteModel } from '../remote/remote-model.ts'
import type { DownloadOptions } from './download-options.ts'
import { checkFreeSpace, reserve, type WantedPart } from '../cache/space.ts'

/**
 * If the whole of a file is wanted and less than 1 / FEW_PARTS of its bytes is here as parts, it is downloaded as one
 * file.
 */
const FEW_PARTS = 16

/** The tensors to bring here from one file. */
interface WantedTensors extends WantedRanges {
  readonly slices: readonly TensorSlice[]
  /** Whether the only range is the whole file. */
  readonly whole: boolean
}

/**
 * Downloads tensors of a hub's model, given by their names as stored; returns the checkpoint with these tensors' slices
 * pointing to local files. Does nothing for a model in a folder or for tensors that are local. Bytes that an earlier
 * call or another process has downloaded, even parts of a tensor, are not downloaded again.
 *
 * A file that is wanted whole goes to the standard cache. Other ranges stay as parts in our own cache, where they may
 * be evicted after `releaseTensors` but not before. Throws `CHECKPOINT_MISSING_TENSOR`, `HubError` or the signal's
 * reason.
 */
export async function fetchTensors<C extends FetchableTensors>(
  checkpoint: C,
  names: readonly string[],
  options: DownloadOptions = {},
): Promise<C> {
  const { remote } = checkpoint
  if (remote === undefined) return checkpoint
  const wanted = await wantedOf(checkpoint, remote, names, options)
  if (wanted.length === 0) return checkpoint
  const { settings } = remote
  try {
    await mkdir(settings.partsFolder, { recursive: true })
    await checkFreeSpace(settings.partsFolder, await countMissing(settings.partsFolder, wanted))
    const lease = await reserve(settings.partsFolder, await partsOf(settings.partsFolder, wanted), options)
    try {
      const located = await downloadParts(new HubClient(settings, options.onTrouble), wanted, options)
      return withLocated(checkpoint, { ...remote, leases: [...remote.leases, lease] }, wanted, located)
    } catch (error) {
      await removeLease(lease)
      throw error
    }
  } catch (error) {
    throw folderError(error, settings.partsFolder)
  }
}

/** How much of some tensors is to be downloaded. */
export interface DownloadSize {
  readonly totalBytes: number
  readonly missingBytes: number
}

/**
 * How many bytes `fetchTensors` brings here for tensors, given by their names as stored, and how many of these are not
 * on this disk. Throws `CHECKPOINT_MISSING_TENSOR`.
 */
export async function downloadSize(checkpoint: FetchableTensors, names: readonly string[]): Promise<DownloadSize> {
  const { remote } = checkpoint
  const wanted = remote === undefined ? [] : await wantedOf(checkpoint, remote, names, {})
  const fetched = new Set(wanted.flatMap(({ slices }) => slices.map(({ name }) => name)))
  const local = [...new Set(names)].filter((name) => !fetched.has(name))
  const sizes = [
    ...wanted.flatMap(({ ranges }) => ranges.map(rangeBytes)),
    ...local.map((name) => checkpoint.tensors.get(name)?.byteLength ?? 0),
  ]
  return {
    totalBytes: sizes.reduce((sum, bytes) => sum + bytes, 0),
    missingBytes: remote === undefined ? 0 : await countMissing(remote.settings.partsFolder, wanted),
  }
}

/**
 * Tells the cache that the fetched tensors are no longer read: they may be evicted when another download needs the
 * room.
 */
export async function releaseTensors(checkpoint: Pick<FetchableTensors, 'remote'>): Promise<void> {
  for (const lease of checkpoint.remote?.leases ?? []) await removeLease(lease)
}

/** What has to be fetched, file by file. */
async function wantedOf(
  { tensors }: FetchableTensors,
  remote: RemoteModel,
  names: readonly string[],
  options: DownloadOptions,
): Promise<WantedTensors[]> {
  const byFile = new Map<string, TensorSlice[]>()
  for (const name of new Set(names)) {
    const slice = tensors.get(name)
    if (slice === undefined)
      throw new CheckpointError('CHECKPOINT_MISSING_TENSOR', `${remote.repo} lacks tensor ${name}`)
    if (remote.files.has(slice.file) && slice.byteLength > 0)
      byFile.set(slice.file, [...(byFile.get(slice.file) ?? []), slice])
  }
  const all = Map.groupBy(tensors.values(), ({ file }) => file)
  return Promise.all(
    [...byFile].map(async ([path, slices]): Promise<WantedTensors> => {
      const file = remote.files.get(path)!
      const whole = slices.length === all.get(path)?.length && (await hasFewParts(remote.settings.partsFolder, file))
      const ranges = whole
        ? [{ start: 0, end: file.bytes }]
        : slices.map(({ offset, byteLength }) => ({ start: offset, end: offset + byteLength }))
      return { file, slices, whole, ranges, toCache: whole && options.maxDiskSpaceBytes === undefined }
    }),
  )
}

/** Whether less than 1 / FEW_PARTS of the file's bytes is here as parts. Parts from byte 0 on do not count. */
async function hasFewParts(partsFolder: string, file: RemoteFile): Promise<boolean> {
  const folder = partFolderOf(partsFolder, file)
  const names = await readdir(folder).catch(() => [])
  const parts = names.filter((name) => (parseRangeKey(name.replace(/\.incomplete$/, ''))?.start ?? 0) > 0)
  const stats = await Promise.all(parts.map((name) => lstat(join(folder, name)).catch(() => undefined)))
  return stats.reduce((sum, one) => sum + (one?.size ?? 0), 0) * FEW_PARTS < file.bytes
}

/** The parts in our own cache that hold, or will hold, the wanted ranges. */
async function partsOf(partsFolder: string, wanted: readonly WantedRanges[]): Promise<WantedPart[]> {
  const parts = await Promise.all(
    wanted
      .filter(({ toCache }) => toCache !== true)
      .map(async ({ file, ranges }) => {
        const path = partFolderOf(partsFolder, file)
        const folder = await PartFolder.open(path)
        return Promise.all(ranges.map(async (range) => ({ folder: path, range: (await folder.find(range)) ?? range })))
      }),
  )
  return parts.flat()
}

function withLocated<C extends FetchableTensors>(
  checkpoint: C,
  remote: RemoteModel,
  wanted: readonly WantedTensors[],
  located: ReadonlyMap<RemoteFile, Located[]>,
): C {
  const tensors = new Map(checkpoint.tensors)
  for (const { file, slices, whole } of wanted) {
    const places = located.get(file)!
    for (const [i, slice] of slices.entries()) {
      const place = whole ? { file: places[0]!.file, offset: places[0]!.offset + slice.offset } : places[i]!
      tensors.set(slice.name, { ...slice, ...place })
    }
  }
  return { ...checkpoint, tensors, remote }
}
