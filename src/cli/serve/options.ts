import { apiOptions, apiPortOptions } from '../options/api-options.ts'
import type { OptionValues } from '../options/option-table.ts'
import {
  computeOptions,
  lanOptions,
  modelOptions,
  nodeLogOptions,
  nodeOptions,
  swarmOptions,
} from '../options/options.ts'
import { peerOptions, serverOptions } from '../options/server-options.ts'

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
