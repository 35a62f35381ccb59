import type { OptionValues } from '../../options/option-table.ts'
import { nodeLogOptions } from '../../options/tables/running-options.ts'
import { modelOptions } from '../../options/tables/model-options.ts'

const GROUP = 'Download'

export const pullOptions = {
  model: { ...modelOptions.model, description: 'Name of the model on the hub, org/name[@revision]' },
  maxDiskSpace: modelOptions.maxDiskSpace,
  blocks: {
    type: 'text',
    group: GROUP,
    defaultDescription: 'all, and what a client needs',
    description: 'Blocks to download, as START:END; END is not included',
  },
  client: { type: 'flag', group: GROUP, description: 'Download what a client needs: embedding, last norm and head' },
  json: { type: 'flag', group: 'Output', description: 'Print one JSON object instead of a line' },
  ...nodeLogOptions,
} as const

export type PullValues = OptionValues<typeof pullOptions>
