import { randomUUID } from 'node:crypto'
import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { isJsonObject } from '../../files/json.ts'
import { writeByRename } from '../../files/write-by-rename.ts'

/**
 * The age at which a lease of another machine (that shares the disk) ends: whether its process lives cannot be asked
 * from here.
 */
const FOREIGN_LEASE_MS = 24 * 3_600_000

/**
 * Writes a lease: a file that names the parts this process uses, so that other processes do not evict them. It ends at
 * the latest with the process. Returns the file's path, for `removeLease`.
 */
export async function writeLease(partsFolder: string, keys: readonly string[]): Promise<string> {
  const file = join(leaseFolder(partsFolder), `${randomUUID()}.json`)
  await writeByRename(file, JSON.stringify({ host: hostname(), pid: process.pid, keys }))
  return file
}

/** Gives a lease back. */
export async function removeLease(file: string): Promise<void> {
  await rm(file, { force: true })
}

/** Removes the leases of dead processes; returns the keys of the parts that living processes use. */
export async function sweepLeases(partsFolder: string): Promise<Set<string>> {
  const folder = leaseFolder(partsFolder)
  const names = await readdir(folder).catch(() => [])
  const leased = new Set<string>()
  for (const name of names.filter((name) => name.endsWith('.json'))) {
    const file = join(folder, name)
    const keys = await readLease(file)
    if (keys === undefined) await rm(file, { force: true })
    else for (const key of keys) leased.add(key)
  }
  return leased
}

async function readLease(file: string): Promise<string[] | undefined> {
  try {
    const lease: unknown = JSON.parse(await readFile(file, 'utf8'))
    if (!isJsonObject(lease)) return undefined
    const { host, pid, keys } = lease
    const lives =
      host === hostname()
        ? typeof pid === 'number' && isAlive(pid)
        : Date.now() - (await stat(file)).mtimeMs < FOREIGN_LEASE_MS
    return lives && Array.isArray(keys) ? keys.filter((key) => typeof key === 'string') : undefined
  } catch {
    return undefined
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // EPERM: the process lives, but belongs to another user.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

function leaseFolder(partsFolder: string): string {
  return join(partsFolder, 'in-use')
}
