import { availableParallelism } from 'node:os'
import { QUANTIZATIONS } from '../../../tensor/quantize.ts'
import type { OptionTable } from '../option-table.ts'
import { COMPUTE, MODEL } from './groups.ts'

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
