import { readFile } from 'node:fs/promises'
import { errorMessage } from '../../base/errors.ts'
import { SwarmError } from '../../swarm/errors.ts'
import { parseSwarmKey } from '../../swarm/guards/swarm-key.ts'

/** Reads a private swarm's key, if a file was given. Throws `SWARM_KEY` if it cannot be read or holds no key. */
export async function readSwarmKey(file: string | undefined): Promise<Uint8Array | undefined> {
  if (file === undefined) return undefined
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new SwarmError('SWARM_KEY', `--swarm-key ${file}: ${errorMessage(error)}`, {
      cause: error,
    })
  })
  return parseSwarmKey(text, file)
}
