/** The groups of the reference page that options are listed in. */
export const MODEL = 'Model'
export const SWARM = 'Swarm'
export const COMPUTE = 'Computing'
export const PEERS = 'Peers'
export const TEXT = 'Text'
export const API = 'API'
export const RUNNING = 'Running'

/** All groups, in the order of the reference page. */
export const GROUPS: readonly string[] = [MODEL, SWARM, COMPUTE, PEERS, TEXT, API, RUNNING]
