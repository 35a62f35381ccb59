/** `petals-node`: clients and servers of a swarm. `petals-node/client` is the half of it that loads no server. */
export * from './client/index.ts'
export { openModel } from './checkpoint/hub/open-model.ts'
export type { OpenModelOptions } from './checkpoint/hub/open-model.ts'
export type { Checkpoint } from './checkpoint/checkpoint.ts'
export { serve } from './server/serve.ts'
export type { RunningServer, ServeOptions } from './server/serve.ts'
export { CPU, parseDevice, parseDType } from './runtime/device.ts'
export type { Device } from './runtime/device.ts'
