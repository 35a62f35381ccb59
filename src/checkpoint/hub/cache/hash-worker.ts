import { createHash } from 'node:crypto'
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import { errorMessage } from '../../../base/errors.ts'
import type { HashAnswer, HashRequest } from './hasher.ts'

const CHUNK_BYTES = 4 << 20
const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES)

/** The sha256 of a file, and the id that git would give it. */
function digest(file: string, withGitId: boolean): { sha256: string; gitId?: string } {
  const fd = openSync(file, 'r')
  try {
    const sha256 = createHash('sha256')
    const git = withGitId ? createHash('sha1').update(`blob ${fstatSync(fd).size}\0`) : undefined
    for (let bytes = readSync(fd, buffer); bytes > 0; bytes = readSync(fd, buffer)) {
      const chunk = buffer.subarray(0, bytes)
      sha256.update(chunk)
      git?.update(chunk)
    }
    return { sha256: sha256.digest('hex'), ...(git !== undefined && { gitId: git.digest('hex') }) }
  } finally {
    closeSync(fd)
  }
}

parentPort?.on('message', ({ id, file, withGitId }: HashRequest) => {
  let answer: HashAnswer
  try {
    answer = { id, ...digest(file, withGitId) }
  } catch (error) {
    answer = { id, failure: errorMessage(error) }
  }
  parentPort?.postMessage(answer, [])
})
