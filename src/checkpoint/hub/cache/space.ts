import { lstat, readdir, statfs } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { sizeText } from '../../../base/size.ts'
import { HubError } from '../errors.ts'
import { sweepLeases, removeLease, writeLease } from './leases.ts'
import { tryLock, withLock } from './lock.ts'
import { PartFolder } from './part-folder.ts'
import { type ByteRange, parseRangeKey, rangeBytes, rangeKey } from '../remote/ranges.ts'

/** A part of a file, on disk or about to be downloaded. */
export interface WantedPart {
  readonly folder: string
  readonly range: ByteRange
}

/** A part on disk. */
interface StoredPart extends WantedPart {
  readonly key: string
  readonly bytes: number
  readonly usedAt: number
}

/** `maxDiskSpaceBytes` bounds all parts of all models together. */
export interface SpaceOptions {
  readonly maxDiskSpaceBytes?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Marks parts as in use by this process and, within the bound, makes room for those that are not on disk yet by
 * evicting parts that no process uses, least recently used first. Returns the lease, for `removeLease`. Throws
 * `HUB_DISK_LIMIT` if evicting all of these is not enough.
 */
export async function reserve(
  partsFolder: string,
  wanted: readonly WantedPart[],
  options: SpaceOptions,
): Promise<string> {
  return withLock(join(partsFolder, 'space'), options.signal, async () => {
    const lease = await writeLease(
      partsFolder,
      wanted.map((part) => keyOf(partsFolder, part)),
    )
    try {
      if (options.maxDiskSpaceBytes !== undefined) await makeRoom(partsFolder, options.maxDiskSpaceBytes)
      return lease
    } catch (error) {
      await removeLease(lease)
      throw error
    }
  })
}

/** Throws `HUB_DISK_FULL` if the disk of `folder`, which must exist, has fewer than `neededBytes` free bytes. */
export async function checkFreeSpace(folder: string, neededBytes: number): Promise<void> {
  if (neededBytes === 0) return
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize >= neededBytes) return
  throw new HubError(
    'HUB_DISK_FULL',
    `${sizeText(neededBytes)} are to be downloaded, but the disk of ${folder} has only ` +
      `${sizeText(bavail * bsize)} left: free some space, set HF_HOME to a folder on a larger disk, or serve ` +
      'fewer blocks',
  )
}

/** Evicts unused parts until all parts together are within the bound. */
async function makeRoom(partsFolder: string, maxBytes: number): Promise<void> {
  const stored = await listParts(partsFolder)
  const leased = await sweepLeases(partsFolder)
  const inUse = [...leased].reduce((sum, key) => sum + keyBytes(key), 0)
  const free = stored.filter(({ key }) => !leased.has(key)).sort((a, b) => a.usedAt - b.usedAt)
  let used = inUse + free.reduce((sum, { bytes }) => sum + bytes, 0)
  for (const part of free) {
    if (used <= maxBytes) return
    // A folder whose lock is held is being downloaded into: its parts are in use.
    await tryLock(part.folder, async () => {
      await (await PartFolder.open(part.folder)).remove(part.range)
      used -= part.bytes
    })
  }
  if (used <= maxBytes) return
  throw new HubError(
    'HUB_DISK_LIMIT',
    `the parts in use take ${sizeText(used)} of ${partsFolder}, but --max-disk-space is ` +
      `${sizeText(maxBytes)}: raise it, or serve fewer blocks`,
  )
}

/** Every part of every model in our own cache folder, complete or not. */
async function listParts(partsFolder: string): Promise<StoredPart[]> {
  const parts: StoredPart[] = []
  for (const repo of await folders(partsFolder, /^models--/)) {
    for (const folder of await folders(repo, /^(?:[0-9a-f]{40}|[0-9a-f]{64}|etag-[0-9a-f]{40})$/)) {
      const stored = await PartFolder.open(folder)
      for (const name of await readdir(folder)) {
        const range = parseRangeKey(name.replace(/\.incomplete$/, ''))
        const stats = await lstat(join(folder, name)).catch(() => undefined)
        if (range === undefined || stats?.isFile() !== true) continue
        const usedAt = stored.usedAt(range) ?? stats.mtimeMs
        parts.push({ folder, range, key: keyOf(partsFolder, { folder, range }), bytes: stats.size, usedAt })
      }
    }
  }
  return parts
}

async function folders(parent: string, pattern: RegExp): Promise<string[]> {
  const entries = await readdir(parent, { withFileTypes: true }).catch(() => [])
  return entries
    .filter((entry) => entry.isDirectory() && pattern.test(entry.name))
    .map((entry) => join(parent, entry.name))
}

/** What a lease calls a part. */
function keyOf(partsFolder: string, { folder, range }: WantedPart): string {
  return `${relative(partsFolder, folder)}/${rangeKey(range)}`
}

function keyBytes(key: string): number {
  const range = parseRangeKey(key.slice(key.lastIndexOf('/') + 1))
  return range === undefined ? 0 : rangeBytes(range)
}
