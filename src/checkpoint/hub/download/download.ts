// Room download/: brings ranges of the hub's files here, each byte once, checked.

import { join } from 'node:path'
import pLimit, { type LimitFunction } from 'p-limit'
import type { HubClient, RemoteFile } from '../remote/client.ts'
import { checkContent, isGitId } from '../cache/content.ts'
import { Hasher } from '../cache/hasher.ts'
import { withLock } from '../cache/lock.ts'
import { forEachParallel } from './parallel.ts'
import { PartFolder, partFolderOf } from '../cache/part-folder.ts'
import { ProgressMeter } from './progress.ts'
import { type ByteRange, type Piece, planRuns, rangeBytes, rangeKey } from '../remote/ranges.ts'
import type { DownloadOptions } from './download-options.ts'
import { StandardCache } from '../cache/standard-cache.ts'
import { transferRun } from './transfer.ts'

/** Byte ranges of one file to bring to this machine. */
export interface WantedRanges {
  readonly file: RemoteFile
  readonly ranges: readonly ByteRange[]
  /** True if the only range is the whole file and it is to be moved into the standard cache. */
  readonly toCache?: boolean
}

/** Where the bytes of a range lie on this machine: a file and an offset in it. */
export interface Located {
  readonly file: string
  readonly offset: number
}

/** Requests at a time; the same as in Python's huggingface_hub. */
const CONCURRENCY = 8

/** Files that are worked on at a time. */
const SHARDS_AT_ONCE = 4

/**
 * Downloads ranges of files that are not on this disk, and verifies the checksums of those that are. Returns, for each
 * file, where its ranges are, in the order asked for. Another process that wants the same ranges waits and then finds
 * them. Throws `HubError` or the signal's reason.
 */
export async function downloadParts(
  client: HubClient,
  wanted: readonly WantedRanges[],
  options: DownloadOptions,
): Promise<Map<RemoteFile, Located[]>> {
  const totalBytes = wanted.flatMap(({ ranges }) => ranges).reduce((sum, range) => sum + rangeBytes(range), 0)
  const download: Download = {
    client,
    hasher: new Hasher(),
    meter: new ProgressMeter(totalBytes, options.onProgress),
    limit: pLimit(options.concurrency ?? CONCURRENCY),
    located: new Map(),
  }
  try {
    await forEachParallel(wanted, SHARDS_AT_ONCE, options.signal, async (one, signal) => {
      const folder = partFolderOf(client.settings.partsFolder, one.file)
      let counted = 0
      await withLock(folder, signal, (signal) => {
        download.meter.lost(counted)
        counted = 0
        const count = (bytes: number, from: 'disk' | 'network') => {
          counted += bytes
          if (from === 'disk') download.meter.found(one.file.name, bytes)
          else download.meter.downloaded(one.file.name, bytes)
        }
        return fetchFile(download, one, folder, { signal, count })
      })
    })
    return download.located
  } finally {
    await download.hasher.close()
  }
}

/** What all files of one download share. */
interface Download {
  readonly client: HubClient
  readonly hasher: Hasher
  readonly meter: ProgressMeter
  readonly limit: LimitFunction
  readonly located: Map<RemoteFile, Located[]>
}

/** What belongs to the work on one file; `count` reports bytes that are here. */
interface FileContext {
  readonly signal: AbortSignal
  count(bytes: number, from: 'disk' | 'network'): void
}

/** All the work on one file; runs under the lock of its part folder. */
async function fetchFile(
  download: Download,
  { file, ranges, toCache = false }: WantedRanges,
  path: string,
  context: FileContext,
): Promise<void> {
  const cache = new StandardCache(download.client.settings.cacheFolder, file.repo)
  const cached = join(cache.snapshot(file.commit), file.name)
  if ((await cache.bytesOf(file.commit, file.name)) === file.bytes) {
    for (const range of ranges) context.count(rangeBytes(range), 'disk')
    download.located.set(
      file,
      ranges.map(({ start }) => ({ file: cached, offset: start })),
    )
    return
  }
  const folder = await PartFolder.open(path)
  const pieces = await dropDamaged(download, folder, ranges, context)
  await fetchPieces(download, { file, folder, pieces }, context)
  if (toCache) {
    for (const range of ranges) {
      await cache.adopt(file.commit, file.name, file.etag, folder.path(range))
      await folder.remove(range)
    }
    download.located.set(
      file,
      ranges.map(({ start }) => ({ file: cached, offset: start })),
    )
    return
  }
  const parts = await Promise.all(ranges.map(async (range) => ({ range, part: (await folder.find(range)) ?? range })))
  await folder.touch(parts.map(({ part }) => part))
  download.located.set(
    file,
    parts.map(({ range, part }) => ({ file: folder.path(part), offset: range.start - part.start })),
  )
}

/** Deletes parts whose bytes no longer match their checksum; returns the ranges that must be downloaded. */
async function dropDamaged(
  download: Download,
  folder: PartFolder,
  ranges: readonly ByteRange[],
  context: FileContext,
): Promise<Piece[]> {
  const checked = new Map<string, Promise<boolean>>()
  const pieces: Piece[] = []
  for (const range of ranges) {
    context.signal.throwIfAborted()
    const part = await folder.find(range)
    if (part !== undefined) {
      const key = rangeKey(part)
      const check = checked.get(key) ?? isIntact(download.hasher, folder, part)
      checked.set(key, check)
      if (await check) {
        context.count(rangeBytes(range), 'disk')
        continue
      }
      await folder.remove(part)
    }
    const have = await folder.resumePartial(range)
    context.count(have, 'disk')
    pieces.push({ ...range, have })
  }
  return pieces
}

async function isIntact(hasher: Hasher, folder: PartFolder, part: ByteRange): Promise<boolean> {
  const { sha256 } = await hasher.digest(folder.path(part))
  return sha256 === folder.sha256(part)
}

/** Downloads pieces and turns each into a part when it is complete. */
async function fetchPieces(
  { client, hasher, limit }: Download,
  { file, folder, pieces }: { file: RemoteFile; folder: PartFolder; pieces: readonly Piece[] },
  { signal, count }: FileContext,
): Promise<void> {
  const onPiece = async (piece: Piece): Promise<void> => {
    const whole = piece.start === 0 && piece.end === file.bytes
    const digest = await hasher.digest(folder.partialPath(piece), { withGitId: whole && isGitId(file.etag) })
    try {
      if (whole) checkContent(file, digest)
    } catch (error) {
      await folder.remove(piece)
      throw error
    }
    await folder.complete(piece, digest.sha256)
  }
  // Partial files of full size: a process was killed between the last byte and `complete`.
  for (const piece of pieces) if (piece.have === rangeBytes(piece)) await onPiece(piece)
  const runs = planRuns(pieces)
  const onBytes = (bytes: number) => count(bytes, 'network')
  await forEachParallel(runs, runs.length, signal, (run, signal) =>
    limit(() => {
      signal.throwIfAborted()
      return transferRun(client, { file, run, folder }, { signal, onBytes, onPiece })
    }),
  )
}

/** How many bytes of the wanted ranges are not on this disk. */
export async function countMissing(partsFolder: string, wanted: readonly WantedRanges[]): Promise<number> {
  let missing = 0
  for (const { file, ranges } of wanted) {
    const folder = await PartFolder.open(partFolderOf(partsFolder, file))
    for (const range of ranges) {
      if ((await folder.find(range)) !== undefined) continue
      missing += rangeBytes(range) - (await folder.partialBytes(range))
    }
  }
  return missing
}
