import { readFile } from 'node:fs/promises'
import { errorMessage } from '../../base/errors.ts'
import { SwarmError } from '../../swarm/errors.ts'
import { parseSwarmKey } from '../../swarm/guards/swarm-key.ts'

/** The key of a private swarm, if a file was named. Throws `SWARM_KEY` for one that cannot be read or holds no key. */
export async function readSwarmKey(file: string | undefined): Promise<Uint8Array | undefined> {
  if (file === undefined) return undefined
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new SwarmError('SWARM_KEY', `cannot read the swarm key file ${file}: ${errorMessage(error)}`, {
      cause: error,
    })
  })
  return parseSwarmKey(text, file)
}
