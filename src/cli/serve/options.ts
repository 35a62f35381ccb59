import type { OptionValues } from '../options/option-table.ts'
import {
  computeOptions,
  modelOptions,
  nodeLogOptions,
  nodeOptions,
  serverOptions,
  swarmOptions,
} from '../options/options.ts'

export const serveOptions = {
  ...modelOptions,
  ...computeOptions,
  ...swarmOptions,
  ...nodeOptions,
  ...serverOptions,
  ...nodeLogOptions,
}

export type ServeValues = OptionValues<typeof serveOptions>
