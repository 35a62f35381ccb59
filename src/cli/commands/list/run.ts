import { sizeText } from '../../../base/size.ts'
import { type CachedModel, listCachedModels } from '../../../checkpoint/hub/cache/cached-models.ts'
import { downloadSize } from '../../../checkpoint/hub/download/fetch-tensors.ts'
import { openModel } from '../../../checkpoint/open-model.ts'
import { type HubSettings, hubSettings } from '../../../checkpoint/hub/settings.ts'
import { endsTensorNames, spanTensorNames } from '../../../engine/loading/tensor-names.ts'
import { alignColumns } from '../../terminal/columns.ts'
import { spansOf } from '../../../base/span.ts'
import type { ListValues } from './options.ts'

/** What of a model's weights is here. */
interface Held {
  readonly numBlocks: number
  /** Spans of blocks that are here, as START:END. */
  readonly blocks: readonly string[]
  /** Whether a client's part is here. */
  readonly client: boolean
}

const HEADINGS = ['MODEL', 'REVISION', 'BLOCKS', 'CLIENT', 'SIZE', 'CHANGED', '']

/** Prints the models in the caches. */
export async function runList({ json }: ListValues): Promise<void> {
  const settings = { ...hubSettings(process.env), offline: true }
  const models = await listCachedModels(settings)
  const rows = await Promise.all(models.map(async (model) => ({ ...model, ...(await heldOf(settings, model)) })))
  if (json) {
    const { cacheFolder, partsFolder } = settings
    process.stdout.write(`${JSON.stringify({ cacheFolder, partsFolder, models: rows }, undefined, 2)}\n`)
    return
  }
  if (rows.length === 0) {
    process.stdout.write(`no models in ${settings.cacheFolder}: "petals-node pull org/name" downloads one\n`)
    return
  }
  const total = rows.reduce((sum, { sharedBytes, partBytes }) => sum + sharedBytes + partBytes, 0)
  const lines = alignColumns([HEADINGS, ...rows.map(rowOf)])
  process.stdout.write(
    [...lines, '', `${sizeText(total)} in ${settings.cacheFolder} and ${settings.partsFolder}`]
      .map((line) => `${line}\n`)
      .join(''),
  )
}

function rowOf(model: CachedModel & Partial<Held>): string[] {
  const { repo, revisions, blocks, numBlocks, client, sharedBytes, partBytes, changedAt, inUse } = model
  return [
    repo,
    revisions.map(({ revision }) => revision).join(', ') || '-',
    blocks === undefined ? '-' : `${blocks.join(', ') || 'none'} of ${numBlocks}`,
    client === undefined ? '-' : client ? 'yes' : 'no',
    sizeText(sharedBytes + partBytes),
    new Date(changedAt).toISOString().slice(0, 10),
    inUse ? 'in use' : '',
  ]
}

/** Looks which blocks of a model's newest known revision are here. Empty for what is no model, or cannot be read. */
async function heldOf(settings: HubSettings, { repo, revisions }: CachedModel): Promise<Partial<Held>> {
  const revision = revisions.find((one) => one.revision === 'main') ?? revisions[0]
  if (revision === undefined) return {}
  try {
    const checkpoint = await openModel({ kind: 'hub', repo, revision: revision.commit }, { settings })
    const { numBlocks } = checkpoint.config
    const isHere = async (names: readonly string[]) => (await downloadSize(checkpoint, names)).missingBytes === 0
    const blocks = Array.from({ length: numBlocks }, (_, block) =>
      isHere(spanTensorNames(checkpoint, block, block + 1)),
    )
    const here = await Promise.all(blocks)
    return {
      numBlocks,
      blocks: spansOf(here.flatMap((is, block) => (is ? [block] : []))),
      client: await isHere(endsTensorNames(checkpoint)),
    }
  } catch {
    return {}
  }
}
