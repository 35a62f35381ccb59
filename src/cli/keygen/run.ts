import { writeFile } from 'node:fs/promises'
import { UsageError, errorMessage } from '../../base/errors.ts'
import { generateSwarmKey } from '../../swarm/guards/swarm-key.ts'
import type { KeygenValues } from './options.ts'

/** Prints a new key, or writes it to a new file. Throws `USAGE` if the file exists or cannot be written. */
export async function runKeygen({ out }: KeygenValues): Promise<void> {
  const key = generateSwarmKey()
  if (out === undefined) {
    process.stdout.write(key)
    return
  }
  await writeFile(out, key, { flag: 'wx', mode: 0o600 }).catch((error: unknown) => {
    throw new UsageError(`--out ${out}: ${errorMessage(error)}`, { cause: error })
  })
}
