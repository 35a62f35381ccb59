import { UsageError } from '../../../base/errors.ts'
import { closest } from '../../../base/closest.ts'
import { sizeText } from '../../../base/size.ts'
import { listCachedModels, removeCachedModel } from '../../../checkpoint/hub/cache/cached-models.ts'
import { hubSettings } from '../../../checkpoint/hub/settings.ts'
import type { RmValues } from './options.ts'

/** Deletes a model from the caches. Throws `USAGE` for one that is not there, and `HUB_IN_USE`. */
export async function runRm({ keepShared, json }: RmValues, name: string | undefined): Promise<void> {
  if (name === undefined) throw new UsageError('which model? "petals-node list" shows those that are here')
  const settings = hubSettings(process.env)
  const models = await listCachedModels(settings)
  const model = models.find(({ repo }) => repo === name)
  if (model === undefined) {
    const near = closest(
      name,
      models.map(({ repo }) => repo),
    )
    const cure = near === undefined ? '"petals-node list" shows what is there' : `did you mean ${near}?`
    throw new UsageError(`nothing of ${name} is in the cache: ${cure}`)
  }
  await removeCachedModel(settings, name, { keepShared })
  const bytes = model.partBytes + (keepShared ? 0 : model.sharedBytes)
  process.stdout.write(
    json ? `${JSON.stringify({ repo: name, deletedBytes: bytes })}\n` : `${name}: ${sizeText(bytes)} deleted\n`,
  )
}
