import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PetalsError } from '../../base/errors.ts'
import { blockDigests } from '../../checkpoint/weights/block-digests.ts'
import type { TensorSlice } from '../../checkpoint/weights/safetensors.ts'
import { identityOf, makeFolder, replaceFile } from './cache-folder.ts'

const DIGEST = /^[0-9a-f]{16}$/

/**
 * The digest of each block, as `blockDigests`; those of blocks whose files have not changed since are taken from
 * `folder`, where one is given, and the others kept there. Synchronous: for worker threads. Throws as reading does, and
 * `QUANT_CACHE` where the folder cannot be made.
 */
export function keptDigests(blocks: readonly ReadonlyMap<string, TensorSlice>[], folder: string | undefined): string[] {
  return blocks.map((block) => {
    const compute = () => blockDigests([[...block.values()]])[0]!
    if (folder === undefined) return compute()
    // The files' state is taken before they are read: what changes meanwhile changes it.
    const file = join(makeFolder(folder), `${identityOf('digest', block)}.digest`)
    const kept = readKept(file)
    if (kept !== undefined) return kept
    const digest = compute()
    keep(file, digest)
    return digest
  })
}

/** On a full disk it is computed again at the next start. */
function keep(file: string, digest: string): void {
  try {
    replaceFile(file, (unfinished) => writeFileSync(unfinished, digest))
  } catch (error) {
    if (!(error instanceof PetalsError)) throw error
  }
}

/** Nothing where there is no such file, or a damaged one. */
function readKept(file: string): string | undefined {
  try {
    const text = readFileSync(file, 'utf8')
    return DIGEST.test(text) ? text : undefined
  } catch {
    return undefined
  }
}
