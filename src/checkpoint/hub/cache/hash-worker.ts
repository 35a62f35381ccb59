import { createHash } from 'node:crypto'
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { errorMessage } from '../../../base/errors.ts'
import { answerCalls } from '../../../base/thread/answer-calls.ts'
import { checksumError, type FileDigest, type HashCalls } from './hasher.ts'

const CHUNK_BYTES = 4 << 20
const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES)

/** The sha256 of a file and, if asked for, its git blob id. */
function digest(file: string, withGitId: boolean): FileDigest {
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

answerCalls<HashCalls>(() => ({
  digest({ file, withGitId }) {
    try {
      return digest(file, withGitId)
    } catch (error) {
      throw checksumError(errorMessage(error))
    }
  },
}))
