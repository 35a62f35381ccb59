import { randomUUID } from 'node:crypto'
import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { isJsonObject } from '../../config/json.ts'
import { writeByRename } from './files.ts'

/** A process of another machine that shares the disk cannot be asked whether it lives: its leases end with this age. */
const FOREIGN_LEASE_MS = 24 * 3_600_000

/** Says which parts a process uses, so that no other one evicts them. Ends with the process at the latest. */
export async function writeLease(partsFolder: string, keys: readonly string[]): Promise<string> {
  const file = join(leaseFolder(partsFolder), `${randomUUID()}.json`)
  await writeByRename(file, JSON.stringify({ host: hostname(), pid: process.pid, keys }))
  return file
}

export async function removeLease(file: string): Promise<void> {
  await rm(file, { force: true })
}

/** Removes the leases of processes that are dead; returns the parts that living ones use. */
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
    // It lives, and belongs to someone else.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

function leaseFolder(partsFolder: string): string {
  return join(partsFolder, 'in-use')
}
