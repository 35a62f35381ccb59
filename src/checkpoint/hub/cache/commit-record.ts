import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isJsonObject } from '../../config/json.ts'
import type { RemoteFile } from '../remote/client.ts'
import { repoFolderName, writeByRename } from './files.ts'

/** What the hub said about the weights of one commit, so that it need not be asked again, nor be there. */
export type CommitRecord = ReadonlyMap<string, Pick<RemoteFile, 'etag' | 'bytes'>>

/** Undefined where there is none, or none that can be read. */
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
