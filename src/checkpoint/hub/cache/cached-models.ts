import { lstat, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { HubError } from '../errors.ts'
import type { HubSettings } from '../settings.ts'
import { repoFolderName } from './repo-folder.ts'
import { sweepLeases } from './leases.ts'
import { tryLock, withLock } from './lock.ts'
import { StandardCache } from './standard-cache.ts'

type Folders = Pick<HubSettings, 'cacheFolder' | 'partsFolder'>

/** What of one repository of the hub is on this disk. */
export interface CachedModel {
  readonly repo: string
  /** Branches and tags that were asked for, and the commits that they were at. */
  readonly revisions: readonly { readonly revision: string; readonly commit: string }[]
  /** Bytes in the cache that is shared with Python's huggingface_hub. */
  readonly sharedBytes: number
  /** Bytes of parts of files, which are ours. */
  readonly partBytes: number
  /** When the last byte was written, in milliseconds since 1970. */
  readonly changedAt: number
  /** Whether a living process uses parts of it. */
  readonly inUse: boolean
}

/** All models of both caches, by name. */
export async function listCachedModels({ cacheFolder, partsFolder }: Folders): Promise<CachedModel[]> {
  const names = new Set([...(await modelFolders(cacheFolder)), ...(await modelFolders(partsFolder))])
  const leased = await leasedFolders(partsFolder)
  const models = [...names].map(async (name): Promise<CachedModel> => {
    const repo = repoOfFolder(name)
    const [shared, parts] = await Promise.all([sizeOf(join(cacheFolder, name)), sizeOf(join(partsFolder, name))])
    return {
      repo,
      revisions: await revisionsOf(new StandardCache(cacheFolder, repo)),
      sharedBytes: shared.bytes,
      partBytes: parts.bytes,
      changedAt: Math.max(shared.changedAt, parts.changedAt),
      inUse: leased.has(name),
    }
  })
  return (await Promise.all(models)).sort((a, b) => (a.repo < b.repo ? -1 : 1))
}

/**
 * Deletes what of a repository is on this disk: parts, and what is shared with Python's huggingface_hub unless
 * `keepShared`. Throws `HUB_IN_USE` if a living process uses parts of it, or downloads some.
 */
export async function removeCachedModel(
  { cacheFolder, partsFolder }: Folders,
  repo: string,
  { keepShared = false }: { readonly keepShared?: boolean } = {},
): Promise<void> {
  const name = repoFolderName(repo)
  const folder = join(partsFolder, name)
  // Whoever begins to use parts takes this lock first.
  await withLock(join(partsFolder, 'space'), undefined, async () => {
    const leased = await leasedFolders(partsFolder)
    if (leased.has(name) || !(await isIdle(folder))) {
      throw new HubError('HUB_IN_USE', `a process of this machine uses ${repo} just now: stop it first`)
    }
    await rm(folder, { recursive: true, force: true })
    if (!keepShared) await rm(join(cacheFolder, name), { recursive: true, force: true })
  })
}

/** Whether nobody downloads into a model's folder of parts. */
async function isIdle(folder: string): Promise<boolean> {
  const names = await readdir(folder).catch(() => [])
  for (const name of names.filter((name) => !name.endsWith('.lock')))
    if (!(await tryLock(join(folder, name), async () => undefined))) return false
  return true
}

/** Folders of models of which living processes use parts. */
async function leasedFolders(partsFolder: string): Promise<Set<string>> {
  return new Set([...(await sweepLeases(partsFolder))].map((key) => key.split('/')[0]!))
}

async function modelFolders(parent: string): Promise<string[]> {
  const entries = await readdir(parent, { withFileTypes: true }).catch(() => [])
  return entries.filter((entry) => entry.isDirectory() && /^models--./.test(entry.name)).map(({ name }) => name)
}

function repoOfFolder(name: string): string {
  return name.replace(/^models--/, '').replace('--', '/')
}

async function revisionsOf(cache: StandardCache): Promise<CachedModel['revisions']> {
  const refs = join(cache.folder, 'refs')
  const entries = await readdir(refs, { recursive: true, withFileTypes: true }).catch(() => [])
  const names = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(refs.length + 1))
  const found = await Promise.all(
    names.sort().map(async (revision) => ({ revision, commit: await cache.readRef(revision) })),
  )
  return found.filter((one): one is { revision: string; commit: string } => one.commit !== undefined)
}

/** The size of all files below a folder, and when the last of them changed. Links do not count. */
async function sizeOf(folder: string): Promise<{ bytes: number; changedAt: number }> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  let bytes = 0
  let changedAt = 0
  for (const entry of entries.filter((one) => one.isFile())) {
    const stats = await lstat(join(entry.parentPath, entry.name)).catch(() => undefined)
    bytes += stats?.size ?? 0
    changedAt = Math.max(changedAt, stats?.mtimeMs ?? 0)
  }
  return { bytes, changedAt }
}
