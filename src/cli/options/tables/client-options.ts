import type { OptionTable } from '../option-table.ts'
import { endsOptions, threadOptions } from './compute-options.ts'
import { lanOptions, routeOptions, swarmOptions } from './swarm-options.ts'

/** How a client joins a swarm, chooses its servers, and computes both ends of the model. */
export const clientOptions = {
  ...swarmOptions,
  ...lanOptions,
  ...routeOptions,
  ...endsOptions,
  ...threadOptions,
} as const satisfies OptionTable
