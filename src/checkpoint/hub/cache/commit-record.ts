import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isJsonObject } from '../../files/json.ts'
import type { RemoteFile } from '../remote/client.ts'
import { writeByRename } from '../../files/write-by-rename.ts'
import { repoFolderName } from './repo-folder.ts'

/**
 * Size and etag of each weight file of one commit as the hub gave them, kept on disk: a later start need not ask the
 * hub, and works without a network.
 */
export type CommitRecord = ReadonlyMap<string, Pick<RemoteFile, 'etag' | 'bytes'>>

/** The stored record; undefined if there is none or it cannot be read. */
export async function readCommitRecord(
  partsFolder: string,
  repo: string,
  commit: string,
): Promise<CommitRecord | undefined> {
  try {
    const json: unknown = JSON.parse(await readFile(recordFile(partsFolder, repo, commit), 'utf8'))
    if (!isJsonObject(json) || !isJsonObject(json['files'])) return undefined
    const record = new Map<string, Pick<RemoteFile, 'etag' | 'bytes'>>()
    for (const [name, entry] of Object.entries(json['files'])) {
      if (!isJsonObject(entry)) return undefined
      const { etag, bytes } = entry
      if (typeof etag !== 'string' || typeof bytes !== 'number' || !Number.isSafeInteger(bytes)) return undefined
      record.set(name, { etag, bytes })
    }
    return record
  } catch {
    return undefined
  }
}

/** Stores the record for later starts. */
export async function writeCommitRecord(
  partsFolder: string,
  repo: string,
  commit: string,
  record: CommitRecord,
): Promise<void> {
  await writeByRename(recordFile(partsFolder, repo, commit), JSON.stringify({ files: Object.fromEntries(record) }))
}

function recordFile(partsFolder: string, repo: string, commit: string): string {
  return join(partsFolder, repoFolderName(repo), 'commits', `${commit}.json`)
}
