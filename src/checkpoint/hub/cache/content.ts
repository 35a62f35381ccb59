import { createHash } from 'node:crypto'
import type { RemoteFile } from '../remote/client.ts'
import { HubError } from '../errors.ts'
import type { FileDigest } from './hasher.ts'

/** Whether an etag is a git blob id, a checksum that only git's way of hashing gives. */
export function isGitId(etag: string): boolean {
  return /^[0-9a-f]{40}$/.test(etag)
}

/** Both checksums that an etag can be. */
export function digestOf(content: Uint8Array): FileDigest {
  return {
    sha256: createHash('sha256').update(content).digest('hex'),
    gitId: createHash('sha1').update(`blob ${content.byteLength}\0`).update(content).digest('hex'),
  }
}

/**
 * Compares a whole file's checksum with the hub's etag. Throws `HUB_CONTENT` if they differ. An etag that is neither a
 * sha256 nor a git id cannot be checked and passes.
 */
export function checkContent({ repo, name, etag }: RemoteFile, { sha256, gitId }: FileDigest): void {
  const actual = isGitId(etag) ? gitId : /^[0-9a-f]{64}$/.test(etag) ? sha256 : etag
  if (actual === etag) return
  throw new HubError(
    'HUB_CONTENT',
    `${name} of ${repo} arrived with checksum ${actual} instead of ${etag}, and was thrown away: ` +
      'start again; if it happens twice, a proxy or the disk damages files',
  )
}
