import { availableParallelism } from 'node:os'
import { QUANTIZATIONS } from '../../tensor/quantize.ts'
import { DEFAULT_PEER_BYTES, DEFAULT_REQUESTS_PER_SECOND } from '../../swarm/limits.ts'
import { answerFlags } from './answer-flags.ts'
import type { OptionTable } from './option-table.ts'

const MODEL = 'Model'
const SWARM = 'Swarm'
const COMPUTE = 'Computing'
const PEERS = 'Peers'
const TEXT = 'Text'
const RUNNING = 'Running'

/** All groups, in the order of the reference page. */
export const GROUPS: readonly string[] = [MODEL, SWARM, COMPUTE, PEERS, TEXT, RUNNING]

/** Which model to use. */
export const modelOptions = {
  model: {
    type: 'text',
    group: MODEL,
    isFile: true,
    defaultDescription: 'the bundled demo model',
    description: 'Folder of a Hugging Face checkpoint, or org/name[@revision] on the hub',
  },
  maxDiskSpace: {
    type: 'size',
    group: MODEL,
    defaultDescription: 'no limit',
    description: 'Disk space for downloaded parts of models; the least recently used go first',
    reason:
      'Only files of this program count, and only they are deleted; whole files stay out of the shared cache then',
  },
  dhtPrefix: {
    type: 'text',
    group: MODEL,
    description: 'Name of the model in the swarm, instead of the key made from its weights',
  },
} as const satisfies OptionTable

/** Which swarm to join. */
export const swarmOptions = {
  bootstrap: {
    type: 'list',
    group: SWARM,
    default: [],
    defaultDescription: 'none',
    description: 'Address, ending in /p2p/ID, of a peer of the swarm; may be repeated',
  },
  swarmKey: {
    type: 'text',
    group: SWARM,
    isFile: true,
    defaultDescription: 'none: an open swarm',
    description: 'File of a private swarm\'s key, the same on all its nodes; "petals-node keygen" makes one',
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
} as const satisfies OptionTable

/** How a node listens and appears to others. */
export const nodeOptions = {
  listen: {
    type: 'list',
    group: SWARM,
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

/** How this process computes. */
export const threadOptions = {
  threads: {
    type: 'integer',
    group: COMPUTE,
    min: 1,
    max: 1024,
    default: availableParallelism(),
    defaultDescription: 'the number of cores',
    description: 'Compute threads',
  },
  spin: {
    type: 'flag',
    group: COMPUTE,
    description: 'Let idle threads burn their cores for lower latency',
    reason: 'Several nodes on one machine would take the cores from each other',
  },
} as const satisfies OptionTable

/** Where a client computes embedding and head. */
export const endsOptions = {
  endsDevice: {
    type: 'text',
    group: COMPUTE,
    default: 'auto',
    description: 'Where to compute embedding and head: auto, cpu, cuda or cuda:N',
    reason: 'Auto is the device on which the same process serves, and the CPU where it does not serve',
  },
} as const satisfies OptionTable

/** What a server computes, on which device and in which form. */
export const computeOptions = {
  ...threadOptions,
  blocks: {
    type: 'text',
    group: MODEL,
    rivals: ['numBlocks'],
    defaultDescription: 'those that the swarm needs most',
    description: 'Blocks to hold, as START:END; END is not included',
  },
  numBlocks: {
    type: 'integer',
    group: MODEL,
    rivals: ['blocks'],
    min: 1,
    defaultDescription: 'as many as fit',
    description: 'How many blocks to hold, wherever the swarm needs them most',
  },
  device: { type: 'text', group: COMPUTE, default: 'auto', description: 'Where to compute: auto, cpu, cuda or cuda:N' },
  dtype: {
    type: 'text',
    group: COMPUTE,
    default: 'auto',
    choices: ['auto', 'float32', 'float16', 'bfloat16'],
    description: 'Number format to compute in; a CPU computes in float32',
  },
  quant: {
    type: 'text',
    group: COMPUTE,
    default: 'none',
    choices: QUANTIZATIONS,
    description: "How the blocks' matrices are kept; they are quantized while they are loaded",
    reason: 'Answers of a quantized model differ from those of the model itself',
  },
  quantCache: {
    type: 'text',
    group: COMPUTE,
    isFile: true,
    defaultDescription: 'none',
    description: 'Folder to keep quantized matrices in: the next start takes them from there',
    reason: 'They take disk space that only you can give',
  },
  adapters: {
    type: 'list',
    group: MODEL,
    default: [],
    defaultDescription: 'none',
    description: 'LoRA adapters that requests may name: folders of PEFT, or adapters of the hub; may be repeated',
  },
  allowClientAdapters: { type: 'flag', group: MODEL, description: 'Let clients bring LoRA adapters of their own' },
  adapterMemory: {
    type: 'size',
    group: COMPUTE,
    default: 2 ** 30,
    defaultDescription: '1 GB',
    description:
      'What loaded adapters may take, and those that clients have brought; the least recently used make room',
  },
  kvDtype: {
    type: 'text',
    group: COMPUTE,
    default: 'auto',
    choices: ['auto', 'int8'],
    description: 'How keys and values are cached: as they are computed, or, on a CPU, in a quarter of the memory',
    reason: 'Answers differ a little from those of an exact cache',
  },
  attnCacheTokens: {
    type: 'integer',
    group: COMPUTE,
    min: 1,
    defaultDescription: 'from the free memory',
    description: 'Tokens in the KV cache, over all sessions',
  },
  prefillChunkTokens: {
    type: 'integer',
    group: COMPUTE,
    min: 1,
    defaultDescription: '256',
    description: 'Prompt tokens computed at a time: what others may have to wait for',
    reason: 'Larger pieces are computed at a higher rate, and stall other sessions for longer',
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

/** Which adapter a client's requests use. */
export const adapterOptions = {
  activeAdapter: {
    type: 'text',
    group: MODEL,
    rivals: ['ownAdapter'],
    description: 'Name of a LoRA adapter that servers hold, to go through',
  },
  ownAdapter: {
    type: 'text',
    group: MODEL,
    rivals: ['activeAdapter'],
    isFile: true,
    description: 'Folder of a LoRA adapter to bring to the servers, and go through',
  },
} as const satisfies OptionTable

const { numBeams, lengthPenalty, numReturnSequences, ...oneAnswer } = answerFlags(TEXT)

/** How one answer is generated. */
export const answerOptions = oneAnswer

/** What is continued, and how. */
export const generationOptions = {
  prompt: { type: 'text', group: TEXT, rivals: ['promptIds'], description: 'Text to continue' },
  promptIds: {
    type: 'text',
    group: TEXT,
    rivals: ['prompt'],
    description: 'Token ids to continue, like 5,17,3, instead of a text',
  },
  ...answerOptions,
  numBeams,
  lengthPenalty,
  numReturnSequences,
} as const satisfies OptionTable

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const

/** Where options may be given besides the command line. */
export const configOptions = {
  config: {
    type: 'text',
    group: RUNNING,
    isFile: true,
    description: 'YAML file of options; flags and PETALS_ variables go before it',
  },
} as const satisfies OptionTable

/** The log of commands that run until they are stopped and show nothing but their log. */
export const nodeLogOptions = {
  ...configOptions,
  logLevel: {
    type: 'text',
    group: RUNNING,
    default: 'info',
    choices: LOG_LEVELS,
    description: 'Least severe messages to log on stderr',
  },
} as const satisfies OptionTable

/** The log of commands that show a result. */
export const toolLogOptions = {
  ...configOptions,
  logLevel: { ...nodeLogOptions.logLevel, default: 'warn' },
} as const satisfies OptionTable
