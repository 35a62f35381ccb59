import { availableParallelism } from 'node:os'
import type { OptionTable } from './option-table.ts'

const MODEL = 'Model'
const SWARM = 'Swarm'
const COMPUTE = 'Computing'
const TEXT = 'Text'
const RUNNING = 'Running'

/** Which model is meant. */
export const modelOptions = {
  model: {
    type: 'text', group: MODEL, description: 'Folder of a Hugging Face checkpoint (config.json, *.safetensors)',
    defaultDescription: 'the bundled demo model',
  },
  dhtPrefix: {
    type: 'text', group: MODEL, description: 'Name of the model in the swarm, instead of the key made from its weights',
  },
} as const satisfies OptionTable

/** Which swarm is meant. */
export const swarmOptions = {
  bootstrap: {
    type: 'list', group: SWARM, default: [], defaultDescription: 'none',
    description: 'Address, ending in /p2p/ID, of a peer of the swarm; may be repeated',
  },
} as const satisfies OptionTable

/** How a node is seen by others. */
export const nodeOptions = {
  listen: {
    type: 'list', group: SWARM, default: ['/ip4/0.0.0.0/tcp/0'],
    description: 'Multiaddr to listen on, port 0 for any free one; may be repeated',
  },
  announce: {
    type: 'list', group: SWARM, default: [], defaultDescription: 'those listened on',
    description: 'Multiaddr to tell others instead, behind a NAT or in a container; may be repeated',
  },
  identity: {
    type: 'text', group: SWARM, defaultDescription: 'a new one',
    description: 'File of the private key behind the peer id; created if it does not exist',
  },
  readyFile: {
    type: 'text', group: RUNNING,
    description: 'File to write addresses and ports into as JSON once the node really serves; removed when it stops',
  },
} as const satisfies OptionTable

/** How this process computes. */
export const threadOptions = {
  threads: {
    type: 'integer', group: COMPUTE, min: 1, max: 1024, default: availableParallelism(), defaultDescription: 'the number of cores',
    description: 'Compute threads',
  },
  spin: { type: 'flag', group: COMPUTE, description: 'Let idle threads burn their cores for lower latency' },
} as const satisfies OptionTable

/** What a server computes and with what. */
export const computeOptions = {
  ...threadOptions,
  blocks: {
    type: 'text', group: MODEL, description: 'Blocks to hold, as START:END; END is not included',
    defaultDescription: 'all of the model',
  },
  device: { type: 'text', group: COMPUTE, default: 'auto', description: 'Where to compute: auto, cpu, cuda or cuda:N' },
  dtype: {
    type: 'text', group: COMPUTE, default: 'auto', choices: ['auto', 'float32', 'float16', 'bfloat16'],
    description: 'Number format to compute in: auto, float32, float16 or bfloat16; a CPU computes in float32',
  },
  attnCacheTokens: {
    type: 'integer', group: COMPUTE, min: 1, defaultDescription: 'what a quarter of the free memory holds',
    description: 'Tokens in the KV cache, over all sessions',
  },
  prefillChunkTokens: {
    type: 'integer', group: COMPUTE, min: 1, defaultDescription: '256',
    description: 'Prompt tokens computed at a time: what others may have to wait for',
  },
} as const satisfies OptionTable

/** How a server runs and ends. */
export const serverOptions = {
  publicName: { type: 'text', group: SWARM, description: 'Name to show beside the peer id' },
  metricsPort: {
    type: 'integer', group: RUNNING, min: 0, max: 65_535, defaultDescription: 'off',
    description: 'Port for /metrics (Prometheus) and /health; 0 for any free one',
  },
  metricsHost: { type: 'text', group: RUNNING, default: '127.0.0.1', description: 'Address to bind --metrics-port to' },
  drainTimeout: {
    type: 'number', group: RUNNING, min: 0, default: 30,
    description: 'Seconds that open sessions get to end after Ctrl-C or SIGTERM; a second one stops at once',
  },
} as const satisfies OptionTable

/** What is generated, and how. */
export const generationOptions = {
  prompt: { type: 'text', group: TEXT, description: 'Text to continue' },
  promptIds: { type: 'text', group: TEXT, description: 'Token ids to continue, like 5,17,3, instead of a text' },
  maxNewTokens: { type: 'integer', group: TEXT, min: 1, default: 64, description: 'Tokens to generate at most' },
  temperature: { type: 'number', group: TEXT, min: 0, default: 0, description: 'Randomness: 0 takes the likeliest token each time' },
  topK: { type: 'integer', group: TEXT, min: 0, default: 0, description: 'Draw from the K likeliest tokens only; 0 for all' },
  topP: {
    type: 'number', group: TEXT, above: 0, max: 1, default: 1,
    description: 'Draw from the likeliest tokens that together have this probability',
  },
  seed: {
    type: 'integer', group: TEXT, defaultDescription: 'another each time', description: 'Makes what is drawn repeatable',
  },
  stop: { type: 'list', group: TEXT, default: [], defaultDescription: 'none', description: 'Text to stop before; may be repeated' },
} as const satisfies OptionTable

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const

/** For commands that run until they are stopped, whose log is what they show. */
export const nodeLogOptions = {
  logLevel: { type: 'text', group: RUNNING, default: 'info', choices: LOG_LEVELS, description: 'Least severe messages to log on stderr: trace, debug, info, warn, error or silent' },
} as const satisfies OptionTable

/** For commands whose result is what they show. */
export const toolLogOptions = {
  logLevel: { ...nodeLogOptions.logLevel, default: 'warn' },
} as const satisfies OptionTable
