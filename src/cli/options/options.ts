import { availableParallelism } from 'node:os'
import { WIRE_DTYPES } from '../../tensor/activations.ts'
import { QUANTIZATIONS } from '../../tensor/quantize.ts'
import { answerFlags } from './answer-flags.ts'
import { COMPUTE, MODEL, RUNNING, SWARM, TEXT } from './groups.ts'
import type { OptionTable } from './option-table.ts'

/** Which model to use. */
export const modelOptions = {
  model: {
    type: 'text',
    short: 'm',
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

/** Where blocks are computed. */
const DEVICE = {
  type: 'text',
  group: COMPUTE,
  default: 'auto',
  description: 'Where to compute: auto, cpu, cuda, cuda:N, webgpu or webgpu:N',
  reason: 'Auto is CUDA where it works; WebGPU is only taken where it is asked for',
} as const satisfies OptionTable[string]

/** Where servers compute that a command starts. */
export const serversOptions = {
  device: { ...DEVICE, description: `${DEVICE.description}, of the servers that are started` },
} as const satisfies OptionTable

/** Where a client computes embedding and head. */
export const endsOptions = {
  endsDevice: {
    type: 'text',
    group: COMPUTE,
    default: 'auto',
    description: 'Where to compute embedding and head: auto, cpu, cuda, cuda:N, webgpu or webgpu:N',
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
  device: DEVICE,
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
  trainingMemory: {
    type: 'size',
    group: COMPUTE,
    defaultDescription: 'for sequences of 1024 tokens, an eighth of the free memory at most',
    description: "What clients' backward passes may take; 0: no training here",
    reason: 'Weights and results of a block in float32; clients hear how long sequences may be',
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
    defaultDescription: '1024 on CUDA, else 256',
    description: 'Prompt tokens computed at a time: what others may have to wait for',
    reason: 'Larger pieces are computed at a higher rate, and stall other sessions for longer',
  },
} as const satisfies OptionTable

/** What of its own a client's requests use: an adapter, tuned prompts, a tuned head. */
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
  prompts: {
    type: 'text',
    group: MODEL,
    isFile: true,
    description: 'Folder of tuned prompts ("petals-node tune"), which stand before every text',
  },
  head: {
    type: 'text',
    group: MODEL,
    isFile: true,
    description: 'Folder of a tuned head ("petals-node tune --method head"), in place of the model\'s own',
  },
} as const satisfies OptionTable

const { numBeams, lengthPenalty, numReturnSequences, logprobs, ...oneAnswer } = answerFlags(TEXT)

/** How one answer is generated. */
export const answerOptions = oneAnswer

/** How texts are generated. */
export const generationOptions = {
  ...answerOptions,
  numBeams,
  lengthPenalty,
  numReturnSequences,
  logprobs,
} as const satisfies OptionTable

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const

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
