import { lstat, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Checkpoint } from '../../checkpoint.ts'
import { CheckpointError } from '../../errors.ts'
import type { TensorSlice } from '../../weights/safetensors.ts'
import { HubClient, type RemoteFile } from '../remote/client.ts'
import { countMissing, downloadParts, type Located, type WantedRanges } from './download.ts'
import { folderError } from '../errors.ts'
import { removeLease } from '../cache/leases.ts'
import { PartFolder, partFolderOf } from '../cache/part-folder.ts'
import { parseRangeKey } from '../remote/ranges.ts'
import type { DownloadOptions, RemoteModel } from '../remote/remote.ts'
import { checkFreeSpace, reserve, type WantedPart } from '../cache/space.ts'

/** A file of which less than one part in so many is here already is fetched whole, if the whole of it is wanted. */
const FEW_PARTS = 16

interface WantedTensors extends WantedRanges {
  readonly slices: readonly TensorSlice[]
  /** Whether the only range is the whole file. */
  readonly whole: boolean
}

/**
 * Brings tensors of a model of the hub here, by their names as stored, and returns the checkpoint with their slices
 * pointing at local files. Nothing happens for a folder, nor for tensors that are here. What an earlier call or another
 * process has brought, even in part, is not downloaded again. Parts of files lie in our own folder until they are
 * evicted, but not before `releaseTensors`; a file that is wanted whole goes to the standard cache. Throws
 * `CHECKPOINT_MISSING_TENSOR`, `HubError`, or the signal's reason.
 */
export async function fetchTensors(
  checkpoint: Checkpoint,
  names: readonly string[],
  options: DownloadOptions = {},
): Promise<Checkpoint> {
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
      const located = await downloadParts(new HubClient(settings), wanted, options)
      return withLocated(checkpoint, { ...remote, leases: [...remote.leases, lease] }, wanted, located)
    } catch (error) {
      await removeLease(lease)
      throw error
    }
  } catch (error) {
    throw folderError(error, settings.partsFolder)
  }
}

/** The fetched tensors are not read any more: they may be evicted when another download needs the room. */
export async function releaseTensors(checkpoint: Checkpoint): Promise<void> {
  for (const lease of checkpoint.remote?.leases ?? []) await removeLease(lease)
}

async function wantedOf(
  checkpoint: Checkpoint,
  remote: RemoteModel,
  names: readonly string[],
  options: DownloadOptions,
): Promise<WantedTensors[]> {
  const byFile = new Map<string, TensorSlice[]>()
  for (const name of new Set(names)) {
    const slice = checkpoint.tensors.get(name)
    if (slice === undefined)
      throw new CheckpointError('CHECKPOINT_MISSING_TENSOR', `${remote.repo} lacks tensor ${name}`)
    if (remote.files.has(slice.file) && slice.byteLength > 0)
      byFile.set(slice.file, [...(byFile.get(slice.file) ?? []), slice])
  }
  const all = Map.groupBy(checkpoint.tensors.values(), ({ file }) => file)
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

async function hasFewParts(partsFolder: string, file: RemoteFile): Promise<boolean> {
  const folder = partFolderOf(partsFolder, file)
  const names = await readdir(folder).catch(() => [])
  const parts = names.filter((name) => (parseRangeKey(name.replace(/\.incomplete$/, ''))?.start ?? 0) > 0)
  const stats = await Promise.all(parts.map((name) => lstat(join(folder, name)).catch(() => undefined)))
  return stats.reduce((sum, one) => sum + (one?.size ?? 0), 0) * FEW_PARTS < file.bytes
}

/** The parts that will hold the wanted ranges in our own folder. */
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

function withLocated(
  checkpoint: Checkpoint,
  remote: RemoteModel,
  wanted: readonly WantedTensors[],
  located: ReadonlyMap<RemoteFile, Located[]>,
): Checkpoint {
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
