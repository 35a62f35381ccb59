import type { ComponentLogger, Logger } from '@libp2p/interface'

const silent: Logger = Object.assign(() => undefined, {
  error: () => undefined,
  trace: () => undefined,
  enabled: false,
  newScope: () => silent,
})

/**
 * libp2p's logger where nobody listens. Its own makes several new ones for each stream, and asks the system each time
 * whether they are drawn in colours: a tenth of what it takes to open a stream.
 */
export const SILENT_LOGGER: ComponentLogger = { forComponent: () => silent }
