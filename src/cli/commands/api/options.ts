import { apiOptions, listenOptions } from '../../options/tables/api-options.ts'
import { MODEL } from '../../options/tables/groups.ts'
import type { OptionValues } from '../../options/option-table.ts'
import { nodeLogOptions } from '../../options/tables/running-options.ts'
import { clientOptions } from '../../options/tables/client-options.ts'
import { nodeOptions } from '../../options/tables/swarm-options.ts'
import { modelOptions } from '../../options/tables/model-options.ts'
import { serverOptions } from '../../options/tables/server-options.ts'

export const apiCommandOptions = {
  ...modelOptions,
  model: {
    type: 'list',
    group: MODEL,
    default: [],
    defaultDescription: 'the bundled demo model',
    description: 'Folder of a Hugging Face checkpoint, or org/name[@revision] on the hub; may be repeated',
  },
  ...listenOptions,
  ...apiOptions,
  ...clientOptions,
  readyFile: nodeOptions.readyFile,
  drainTimeout: {
    ...serverOptions.drainTimeout,
    description: 'Seconds that answers under way get to end after Ctrl-C or SIGTERM; a second one stops at once',
    reason: 'Most answers end within it',
  },
  ...nodeLogOptions,
} as const

export type ApiValues = OptionValues<typeof apiCommandOptions>
