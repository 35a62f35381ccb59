import { DEFAULT_PEER_BYTES, DEFAULT_REQUESTS_PER_SECOND } from '../../../swarm/limits.ts'
import { PEERS, RUNNING, SWARM } from './groups.ts'
import type { OptionTable } from '../option-table.ts'

/** Where a node tells how it is. */
export const metricsOptions = {
  metricsPort: {
    type: 'integer',
    group: RUNNING,
    min: 0,
    max: 65_535,
    defaultDescription: 'off',
    description: 'Port for /metrics (Prometheus), /health and /ready; 0 for any free one',
  },
  metricsHost: {
    type: 'text',
    group: RUNNING,
    default: '127.0.0.1',
    description: 'Address to bind --metrics-port to',
    reason: 'Metrics tell strangers what a machine does',
  },
} as const satisfies OptionTable

/** How a server runs and stops. */
export const serverOptions = {
  publicName: { type: 'text', group: SWARM, description: 'Name to show beside the peer id' },
  throughput: {
    type: 'text',
    group: SWARM,
    default: 'auto',
    description: 'Tokens per second of one session to announce; auto: as measured at the start and since',
    reason: 'Clients choose routes by it, and avoid who promises too much',
  },
  ...metricsOptions,
  balanceQuality: {
    type: 'number',
    group: SWARM,
    min: 0,
    max: 1,
    default: 0.95,
    description:
      'Without --blocks: move to others if the swarm has less than this share of the throughput it could have',
    reason: 'A move costs the time of loading; 0 keeps the blocks that were chosen at the start',
  },
  balancePeriod: {
    type: 'number',
    group: SWARM,
    min: 1,
    default: 120,
    description: 'Mean seconds between two checks of that',
    reason: 'Servers check at random moments, so that not all of them move at once',
  },
  drainTimeout: {
    type: 'number',
    group: RUNNING,
    min: 0,
    default: 30,
    description: 'Seconds that open sessions get to end after Ctrl-C or SIGTERM; a second one stops at once',
    reason: 'Most answers end within it; a session that is cut off goes on elsewhere',
  },
  supervise: {
    type: 'flag',
    group: RUNNING,
    description: 'Start again after a crash; needs --identity',
    reason: 'Where systemd or a container does the same, one of them is enough',
  },
} as const satisfies OptionTable

/** Whom a server serves, and what one peer may take of it. */
export const peerOptions = {
  allowedPeers: {
    type: 'list',
    group: PEERS,
    default: [],
    defaultDescription: 'anybody',
    description: 'Id of a peer that may have something computed here, as nobody else may then; may be repeated',
  },
  blockedPeers: {
    type: 'list',
    group: PEERS,
    default: [],
    defaultDescription: 'none',
    description: 'Id of a peer that gets no connection; may be repeated',
  },
  peerSessions: {
    type: 'integer',
    group: PEERS,
    min: 1,
    default: 128,
    description: 'Sessions that one peer may have open',
  },
  peerCacheTokens: {
    type: 'integer',
    group: PEERS,
    min: 1,
    defaultDescription: 'all, and an equal share while others wait',
    description: 'Tokens of the KV cache that sessions of one peer may hold',
  },
  peerTokens: {
    type: 'integer',
    group: PEERS,
    min: 1,
    defaultDescription: 'no limit: turns are fair',
    description: 'Tokens per second computed for one peer; what is more waits',
  },
  peerRequests: {
    type: 'integer',
    group: PEERS,
    min: 1,
    default: DEFAULT_REQUESTS_PER_SECOND,
    description: 'Messages per second read from one peer; what is more waits',
  },
  peerMemory: {
    type: 'size',
    group: PEERS,
    default: DEFAULT_PEER_BYTES,
    defaultDescription: '256 MiB',
    description: 'Memory for requests of one peer, and as much each for what is sent to it and what is kept for it',
    reason: 'A forward pass of the largest size fits; all peers together get a quarter of the memory',
  },
} as const satisfies OptionTable
