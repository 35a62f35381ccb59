/*
 * The room `plan/`: what a span will take of a device's memory, and so how much of a model fits, from its config alone.
 */
import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { blockGraphs, buildEmbedGraph, buildHeadGraph, cacheShape } from '../../families/graphs/graphs.ts'
import type { Graph } from '../../graph/builder.ts'
import type { Target } from '../../graph/lowering.ts'
import type { Parameter } from '../../graph/parameter.ts'
import { type FloatDType, dtypeSize } from '../../tensor/dtype.ts'
import type { Quantization } from '../../tensor/quantize.ts'
import { byteLength } from '../../tensor/tensor.ts'
import { ROW_UNIT } from '../cache/rows/row.ts'
import { passPieceTokens } from './pass-pieces.ts'
import { defaultTrainingBytes } from './plan-training.ts'
import { allResultBytes, intermediateBytes } from './plan-workspace.ts'
import { MAX_PARTS, MAX_PROMPTED_TOKENS, MAX_RECORDINGS, defaultRunLimits, recordsSteps } from './run-limits.ts'

/** A span that has room for less cache than this would turn most sessions away: then rather a block less. */
const WANTED_CACHE_TOKENS = 8192
const MIN_CACHE_TOKENS = 1024

/**
 * The share of the memory that the cache may take, and a bound beyond which more sessions would only wait for compute.
 */
const CACHE_SHARE = 0.25
const MAX_CACHE_TOKENS = 262_144

/** For the process itself, messages under way, and whatever else the machine does. */
const RESERVE_BYTES = 512 << 20
const RESERVE_SHARE = 0.05

/** Of one channel: a row of an int8 cache has as many scales, whatever its length. */
const SCALE_BYTES = 4

/** Sessions of a span on WebGPU: for 1, 2, 4, 8 and 16 rows, and for one with deep prompts. */
const WEBGPU_SESSIONS = 6

/**
 * What a CUDA session keeps for itself beside its weights, as measured, and the sessions of a span: one for steps and
 * prompts, one for deep prompts, and those of parts.
 */
const CUDA_SESSION_BYTES = 75 << 20
const CUDA_SESSIONS = 2 + MAX_PARTS

/** What a node takes in a CUDA graph, of some kernels with their parameters: an estimate that no GPU has confirmed. */
const RECORDED_NODE_BYTES = 8 << 10

export interface PlanOptions extends Target {
  /** Memory that the span may take, where its device computes. */
  readonly memoryBytes: number
  /** KV cache in tokens; a part of the memory where not given. */
  readonly cacheTokens?: number | undefined
  /** Blocks to hold; as many as fit where not given. */
  readonly numBlocks?: number | undefined
  readonly prefillChunkTokens?: number | undefined
  /** What adapters may take. */
  readonly adapterBytes?: number | undefined
  /** What backward passes may take; what a sequence of some length takes where not given. */
  readonly trainingBytes?: number | undefined
}

/** What a span takes, estimated from the model's config alone. Plain data; all sizes in bytes. */
export interface SpanPlan {
  readonly device: Target['device']
  readonly dtype: FloatDType
  readonly quant: Quantization
  readonly kvDType: Target['kvDType']
  /** Blocks of the whole model. */
  readonly modelBlocks: number
  /** Blocks that fit, or that were asked for; 0 where not even one fits. */
  readonly numBlocks: number
  readonly blockBytes: number
  readonly weightBytes: number
  /** KV cache in tokens, for every block of the span. */
  readonly cacheTokens: number
  /** Of one token in one block. */
  readonly tokenBytes: number
  readonly cacheBytes: number
  /** Intermediate results of the largest run. */
  readonly workspaceBytes: number
  /** Of backward passes: the weights that they read, and what they hold meanwhile; 0: none are computed. */
  readonly trainingBytes: number
  /** Kept free: for adapters, the process itself and, on a CPU, for loading, which holds one block twice. */
  readonly reserveBytes: number
  readonly totalBytes: number
  readonly memoryBytes: number
  /** Whether the total is within the memory. */
  readonly fits: boolean
}

/** Bytes of a client's ends, held on the CPU in float32. */
export interface EndsPlan {
  readonly embeddingBytes: number
  /** The last norm and the head; a head that is the embedding is held a second time, packed. */
  readonly headBytes: number
  readonly totalBytes: number
}

/** Bytes of the largest block's weights as the runtime holds them. Throws `FamilyError` and `GRAPH_UNSUPPORTED`. */
export function blockBytes(config: ModelConfig, target: Target): number {
  return Math.max(...kinds(config, target).map((graph) => parameterBytes(graph)))
}

/** Bytes of KV cache that one token takes in one block. Throws `GRAPH_UNSUPPORTED`. */
export function tokenBytes(config: ModelConfig, target: Target): number {
  const { kvHeads, headDim } = cacheShape(config, target)
  const scaleBytes = target.kvDType === undefined ? 0 : SCALE_BYTES / ROW_UNIT
  return Math.ceil(2 * kvHeads * headDim * (dtypeSize(target.kvDType ?? target.dtype) + scaleBytes))
}

/** Throws `FamilyError`. */
export function planEnds(config: ModelConfig): EndsPlan {
  const target: Target = { device: 'cpu', dtype: 'float32' }
  const embeddingBytes = parameterBytes(buildEmbedGraph(config, target))
  const headBytes = parameterBytes(buildHeadGraph(config, target))
  return { embeddingBytes, headBytes, totalBytes: embeddingBytes + headBytes }
}

/**
 * How many blocks fit into the memory, with what their cache and their runs take; needs nothing of the model but its
 * config. Throws `FamilyError` and `GRAPH_UNSUPPORTED` for models and dtypes that the device cannot run.
 */
export function planSpan(config: ModelConfig, options: PlanOptions): SpanPlan {
  const { device, dtype, quant = 'none', kvDType, memoryBytes } = options
  const target = { device, dtype, quant, kvDType }
  const sizes = { blockBytes: blockBytes(config, target), tokenBytes: tokenBytes(config, target) }
  const runTokens = longestRun(config, target, options.prefillChunkTokens)
  const sharedBytes = spanWorkspace(config, target, runTokens)
  const ownBytes = blockWorkspace(config, target, runTokens)
  const { adapterBytes = 0 } = options
  const reserveBytes =
    Math.ceil(Math.max(RESERVE_BYTES, RESERVE_SHARE * memoryBytes, device === 'cpu' ? sizes.blockBytes : 0)) +
    (device === 'cuda' && adapterBytes > 0 ? CUDA_SESSION_BYTES : 0) +
    adapterBytes
  const trainingBytes = options.trainingBytes ?? defaultTrainingBytes(config, target, memoryBytes)
  const forBlocks = memoryBytes - sharedBytes - reserveBytes - trainingBytes
  const eachBytes = sizes.blockBytes + ownBytes + sizes.tokenBytes * (options.cacheTokens ?? WANTED_CACHE_TOKENS)
  const fitting = Math.max(0, Math.min(config.numBlocks, Math.floor(forBlocks / eachBytes)))
  const numBlocks = options.numBlocks ?? fitting
  const weightBytes = numBlocks * sizes.blockBytes
  const workspaceBytes = sharedBytes + numBlocks * ownBytes
  const leftBytes = forBlocks - weightBytes - numBlocks * ownBytes
  const cacheTokens = options.cacheTokens ?? defaultCacheTokens(leftBytes, memoryBytes, numBlocks * sizes.tokenBytes)
  const cacheBytes = numBlocks * cacheTokens * sizes.tokenBytes
  const totalBytes = weightBytes + cacheBytes + workspaceBytes + reserveBytes + trainingBytes
  return {
    device,
    dtype,
    quant,
    kvDType,
    modelBlocks: config.numBlocks,
    numBlocks,
    ...sizes,
    weightBytes,
    workspaceBytes,
    cacheTokens,
    cacheBytes,
    trainingBytes,
    reserveBytes,
    totalBytes,
    memoryBytes,
    fits: numBlocks > 0 && totalBytes <= memoryBytes,
  }
}

/** What is left beside the weights, within the cache's share of the memory. */
function defaultCacheTokens(leftBytes: number, memoryBytes: number, bytesPerToken: number): number {
  if (bytesPerToken === 0) return 0
  const room = Math.min(leftBytes, Math.max(memoryBytes * CACHE_SHARE, WANTED_CACHE_TOKENS * bytesPerToken))
  return Math.max(MIN_CACHE_TOKENS, Math.min(MAX_CACHE_TOKENS, Math.floor(room / bytesPerToken)))
}

/**
 * What each block adds to the workspace of a run. On CUDA: deep prompts, and what is recorded. On WebGPU, which
 * computes behind what is recorded for it, all that its nodes give, and its small weights once for each of the
 * sessions.
 */
function blockWorkspace(config: ModelConfig, target: Target, chunkTokens: number): number {
  if (target.device === 'cpu') return 0
  if (target.device === 'cuda') {
    const promptBytes = MAX_PROMPTED_TOKENS * config.hiddenSize * dtypeSize(target.dtype)
    return promptBytes + recordingBytes(config, target)
  }
  return Math.max(
    ...kinds(config, target).map(
      (graph) =>
        allResultBytes(graph, { rows: 1, tokens: chunkTokens }) + WEBGPU_SESSIONS * parameterBytes(graph, 'inline'),
    ),
  )
}

/** What a block adds to all decode runs that are recorded. */
function recordingBytes(config: ModelConfig, target: Target): number {
  if (!recordsSteps(target)) return 0
  const nodes = Math.max(...kinds(config, target).map((graph) => graph.nodes.length))
  return MAX_RECORDINGS * RECORDED_NODE_BYTES * nodes
}

/**
 * Of one run: blocks run one after another and share it. Beside intermediate results each block reads one buffer and
 * fills one.
 */
function spanWorkspace(config: ModelConfig, target: Target, chunkTokens: number): number {
  const hiddenBytes = chunkTokens * config.hiddenSize * dtypeSize(target.dtype)
  const results = Math.max(
    ...kinds(config, target).map((graph) => intermediateBytes(graph, { rows: 1, tokens: chunkTokens })),
  )
  return results + 4 * hiddenBytes + (target.device === 'cuda' ? CUDA_SESSIONS * CUDA_SESSION_BYTES : 0)
}

/** The most tokens of one run. */
function longestRun(config: ModelConfig, target: Target, chunkTokens: number | undefined): number {
  return chunkTokens ?? passPieceTokens(config, target, defaultRunLimits(target).prefillChunkTokens)
}

/** One graph for all blocks that are equal. */
function kinds(config: ModelConfig, target: Target): Graph[] {
  return [...new Set(blockGraphs(config, target))]
}

function parameterBytes({ parameters }: Graph, placement?: Parameter['placement']): number {
  return parameters
    .filter((parameter) => placement === undefined || parameter.placement === placement)
    .reduce((bytes, { dtype, shape }) => bytes + byteLength(dtype, shape), 0)
}
