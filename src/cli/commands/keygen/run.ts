import { open, rm } from 'node:fs/promises'
import { UsageError, errorMessage } from '../../../base/errors.ts'
import { generateSwarmKey } from '../../../swarm/guards/swarm-key.ts'
import type { KeygenValues } from './options.ts'

/** Prints a new key, or writes it to a new file. Throws `USAGE` if the file exists or cannot be written. */
export async function runKeygen({ out }: KeygenValues): Promise<void> {
  const key = generateSwarmKey()
  if (out === undefined) {
    process.stdout.write(key)
    return
  }
  try {
    const file = await open(out, 'wx', 0o600)
    try {
      await file.writeFile(key)
    } catch (error) {
      // It is new, and this run's own: half a key is worse than none.
      await rm(out, { force: true })
      throw error
    } finally {
      await file.close()
    }
  } catch (error) {
    throw new UsageError(`--out ${out}: ${errorMessage(error)}`, { cause: error })
  }
}
