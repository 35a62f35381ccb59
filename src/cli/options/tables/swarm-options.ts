import { WIRE_DTYPES } from '../../../tensor/activations.ts'
import type { OptionTable } from '../option-table.ts'
import { RUNNING, SWARM } from './groups.ts'

/** Which swarm to join. */
export const swarmOptions = {
  bootstrap: {
    type: 'list',
    group: SWARM,
    default: [],
    defaultDescription: 'none',
    description: 'Address, ending in /p2p/ID, of a peer of the swarm, or a join token; may be repeated',
  },
  swarmKey: {
    type: 'text',
    group: SWARM,
    isFile: true,
    defaultDescription: 'none: an open swarm',
    description: 'File of a private swarm\'s key, the same on all its nodes; "petals-node keygen" makes one',
  },
} as const satisfies OptionTable

/** Whether the local network is asked. */
export const lanOptions = {
  mdns: {
    type: 'flag',
    group: SWARM,
    description: 'Look for nodes of the swarm in the local network, by multicast DNS, and answer those that look',
    reason: 'It tells everybody in the network that this node is here',
  },
} as const satisfies OptionTable

/** Which servers a client uses, and how long it waits for them. */
export const routeOptions = {
  allowedServers: {
    type: 'list',
    group: SWARM,
    default: [],
    defaultDescription: 'all',
    description: 'Peer id of a server to use; no others are used then; may be repeated',
  },
  blockedServers: {
    type: 'list',
    group: SWARM,
    default: [],
    defaultDescription: 'none',
    description: 'Peer id of a server never to use; may be repeated',
  },
  exact: {
    type: 'flag',
    group: SWARM,
    description: 'Use only servers that compute with the weights as they are, in their dtype or float32',
  },
  quant: {
    type: 'text',
    group: SWARM,
    defaultDescription: 'any',
    description: 'Use only servers whose weights are kept so, e.g. none, int8 or int4',
  },
  dtype: {
    type: 'text',
    group: SWARM,
    defaultDescription: 'any',
    choices: ['float32', 'float16', 'bfloat16'],
    description: 'Use only servers that compute in this dtype',
  },
  wait: {
    type: 'number',
    group: SWARM,
    min: 0,
    default: 60,
    description: 'Seconds to wait for servers where blocks are missing; 0: none',
    reason: 'A server that was started again is back by then',
  },
  stepTimeout: {
    type: 'number',
    group: SWARM,
    above: 0,
    default: 300,
    description: 'Seconds that one step may take at most, before another server takes over',
    reason: 'Usually it is given up much sooner, after several times what it should take',
  },
  replayCopies: {
    type: 'text',
    group: SWARM,
    default: 'auto',
    choices: ['auto', 'off'],
    description: "Whether copies of spans' inputs are fetched while links are idle, for repairs",
    reason: 'Without them a repair takes what servers still keep, or computes the inputs of a lost span again',
  },
  wireDtype: {
    type: 'text',
    group: SWARM,
    default: 'auto',
    choices: ['auto', ...WIRE_DTYPES],
    description: 'How hidden states travel: int8 takes 1.06 bytes a value, by blocks of 32; auto: as servers compute',
    reason: 'Fewer bytes round what they carry; docs/quantization.md has what that costs',
  },
} as const satisfies OptionTable

/** How a node listens and appears to others. */
export const nodeOptions = {
  port: {
    type: 'integer',
    group: SWARM,
    rivals: ['listen'],
    min: 0,
    max: 65_535,
    defaultDescription: 'any free one',
    description: 'TCP port to listen on, on all IPv4 addresses of this machine; --listen says it in full',
  },
  listen: {
    type: 'list',
    group: SWARM,
    rivals: ['port'],
    default: ['/ip4/0.0.0.0/tcp/0'],
    description: 'Multiaddr to listen on, port 0 for any free one; may be repeated',
    reason: 'A fixed port is for nodes that others are told to begin with',
  },
  announce: {
    type: 'list',
    group: SWARM,
    default: [],
    defaultDescription: 'those listened on',
    description: 'Multiaddr to tell others instead, behind a NAT or in a container; may be repeated',
  },
  identity: {
    type: 'text',
    group: SWARM,
    isFile: true,
    defaultDescription: 'a new one',
    description: 'File of the private key behind the peer id; created if it does not exist',
  },
  readyFile: {
    type: 'text',
    group: RUNNING,
    isFile: true,
    description: 'File to write addresses and ports into as JSON once the node really serves; removed when it stops',
  },
} as const satisfies OptionTable
