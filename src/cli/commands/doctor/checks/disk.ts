import { constants } from 'node:fs'
import { access, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errorMessage } from '../../../../base/errors.ts'
import { sizeText } from '../../../../base/size.ts'
import type { HubSettings } from '../../../../checkpoint/hub/settings.ts'
import { type Finding, note, ok, problem } from '../finding.ts'

/** Below this much free space a note is shown: less than one shard of a small model. */
const LITTLE_SPACE_BYTES = 5e9

const HUB_TIMEOUT_MS = 5000

/** Checks the folder that models are downloaded into, and the free space there. */
export async function checkCacheFolder({ cacheFolder }: Pick<HubSettings, 'cacheFolder'>): Promise<Finding> {
  try {
    const folder = await nearestFolder(cacheFolder)
    await access(folder, constants.W_OK)
    const { bavail, bsize } = await statfs(folder)
    const found =
      `${cacheFolder}: ${sizeText(bavail * bsize)} free` + (folder === cacheFolder ? '' : ' (it will be created)')
    return bavail * bsize < LITTLE_SPACE_BYTES
      ? note('Cache folder', found, 'HF_HOME names a folder on a larger disk')
      : ok('Cache folder', found)
  } catch (error) {
    return problem(
      'Cache folder',
      `${cacheFolder} cannot be written: ${errorMessage(error)}`,
      'set HF_HOME to a folder that this user may write',
    )
  }
}

/** Reports how the hub would be asked, and checks whether it answers. */
export async function checkHub({ endpoint, token, offline }: HubSettings, signal: AbortSignal): Promise<Finding> {
  if (offline) return note('Hub', 'HF_HUB_OFFLINE is set: only what is in the cache can be used')
  const access = token === undefined ? 'without a token: open models only' : 'with a token'
  try {
    await fetch(endpoint, {
      method: 'HEAD',
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(HUB_TIMEOUT_MS)]),
    })
    return ok('Hub', `${endpoint} answers; asked ${access}`)
  } catch (error) {
    signal.throwIfAborted()
    const { cause } = error as Error
    return note(
      'Hub',
      `${endpoint} does not answer (${errorMessage(cause ?? error)})`,
      'folders and cached models still work; HF_ENDPOINT names a mirror',
    )
  }
}

/** The folder itself or, if it does not exist yet, the nearest existing folder above it. */
export async function nearestFolder(folder: string): Promise<string> {
  return access(folder).then(
    () => folder,
    async () => {
      if (dirname(folder) === folder) throw new Error(`${folder} does not exist`)
      return nearestFolder(dirname(folder))
    },
  )
}
