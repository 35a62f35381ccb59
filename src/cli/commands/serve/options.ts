import { apiOptions, apiPortOptions } from '../../options/tables/api-options.ts'
import type { OptionValues } from '../../options/option-table.ts'
import { nodeLogOptions } from '../../options/tables/running-options.ts'
import { computeOptions } from '../../options/tables/compute-options.ts'
import { lanOptions, nodeOptions, swarmOptions } from '../../options/tables/swarm-options.ts'
import { modelOptions } from '../../options/tables/model-options.ts'
import { peerOptions, serverOptions } from '../../options/tables/server-options.ts'

export const serveOptions = {
  ...modelOptions,
  ...computeOptions,
  ...swarmOptions,
  ...lanOptions,
  ...nodeOptions,
  ...peerOptions,
  ...serverOptions,
  ...apiPortOptions,
  ...apiOptions,
  ...nodeLogOptions,
}

export type ServeValues = OptionValues<typeof serveOptions>
