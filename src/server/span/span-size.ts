import { UsageError } from '../../base/errors.ts'
import { sizeText } from '../../base/size.ts'
import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { type SpanPlan, planSpan } from '../../engine/plan/plan.ts'
import type { KvDType } from '../../graph/lowering.ts'
import type { Device } from '../../runtime/device.ts'
import { threadRuntime } from '../../runtime/thread-runtime.ts'
import type { Discovery } from '../../swarm/records/discovery.ts'
import type { SwarmLogger, SwarmNode } from '../../swarm/node/node.ts'
import type { FloatDType } from '../../tensor/dtype.ts'
import type { Quantization } from '../../tensor/quantize.ts'
import { chooseBlocks, coverageOf } from './choose-blocks.ts'
import { freeMemoryBytes } from './free-memory.ts'

/** Which blocks to hold, on what device and in which form. */
export interface SpanSizeOptions {
  /** Blocks `start` to `end`, `end` not included. Both or neither are given. */
  readonly start?: number | undefined
  readonly end?: number | undefined
  /** The number of blocks, wherever the swarm needs them. If neither a span nor a number is given: as many as fit. */
  readonly numBlocks?: number | undefined
  readonly device: Device
  readonly dtype: FloatDType
  readonly quant?: Quantization | undefined
  readonly kvDType?: KvDType | undefined
  /** Size of the KV cache in tokens; by default it follows from the memory. */
  readonly cacheTokens?: number | undefined
  readonly prefillChunkTokens?: number | undefined
  readonly adapterBytes?: number | undefined
  /** The device memory that the span may take; by default what is free now. */
  readonly memoryBytes?: number | undefined
}

/** Blocks `start` to `end`, and their cache. */
export interface SizedSpan {
  readonly start: number
  readonly end: number
  readonly cacheTokens: number
}

export interface SpanSizeModules {
  readonly node: SwarmNode
  readonly discovery: Discovery
  readonly logger: SwarmLogger
}

/**
 * Decides which span a server holds: the one given, or else as many blocks as given or fit, where the fewest servers
 * hold them. For the latter the swarm is asked once. Throws `UsageError` for blocks that the model does not have, and
 * if not one block fits.
 */
export async function sizeSpan(
  modules: SpanSizeModules,
  config: ModelConfig,
  options: SpanSizeOptions,
  signal?: AbortSignal,
): Promise<SizedSpan> {
  const { start, end } = options
  if (start !== undefined && end !== undefined) {
    checkSpan(start, end, config.numBlocks)
    return { start, end, cacheTokens: planServed(config, { ...options, numBlocks: end - start }).cacheTokens }
  }
  const plan = planServed(config, options)
  checkPlan(plan, options, modules.logger)
  const [first, last] = await whereNeeded(modules, config, plan.numBlocks, signal)
  return { start: first, end: last, cacheTokens: plan.cacheTokens }
}

/** The memory plan of a server with these options, from the model's config alone. */
export function planServed(config: ModelConfig, options: Omit<SpanSizeOptions, 'start' | 'end'>): SpanPlan {
  const { device, dtype, quant, kvDType, numBlocks, cacheTokens, prefillChunkTokens, adapterBytes } = options
  const memoryBytes = options.memoryBytes ?? freeOn(device)
  return planSpan(config, {
    device: device.kind,
    dtype,
    quant,
    kvDType,
    memoryBytes,
    numBlocks,
    cacheTokens,
    prefillChunkTokens,
    adapterBytes,
  })
}

function freeOn({ kind, index }: Device): number {
  return kind === 'cpu' ? freeMemoryBytes() : (threadRuntime.gpuMemory(index)?.freeBytes ?? 0)
}

function checkSpan(start: number, end: number, numBlocks: number): void {
  if (Number.isInteger(start) && Number.isInteger(end) && start >= 0 && start < end && end <= numBlocks) return
  throw new UsageError(`--blocks ${start}:${end}: this model has blocks 0:${numBlocks}`)
}

function checkPlan(plan: SpanPlan, { numBlocks }: SpanSizeOptions, logger: SwarmLogger): void {
  const { modelBlocks, blockBytes, totalBytes, memoryBytes, fits } = plan
  if (numBlocks === undefined && plan.numBlocks === 0) {
    throw new UsageError(
      `not one block of this model fits: with cache and workspace it takes ${sizeText(blockBytes + totalBytes)}, ` +
        `${sizeText(memoryBytes)} are free. Free some memory, ask for less cache with --attn-cache-tokens, or ` +
        'say --num-blocks 1 to try all the same.',
    )
  }
  if (numBlocks === undefined) return
  if (!Number.isInteger(numBlocks) || numBlocks < 1 || numBlocks > modelBlocks) {
    throw new UsageError(`--num-blocks ${numBlocks}: this model has ${modelBlocks} blocks`)
  }
  if (!fits)
    logger.warn(
      { numBlocks },
      `these blocks may not fit: they need about ${sizeText(totalBytes)}, ${sizeText(memoryBytes)} are free`,
    )
}

async function whereNeeded(
  { node, discovery, logger }: SpanSizeModules,
  { numBlocks }: ModelConfig,
  count: number,
  signal: AbortSignal | undefined,
): Promise<[start: number, end: number]> {
  if (count === numBlocks) return [0, numBlocks]
  await node.records.start(discovery)
  try {
    await discovery.refresh(signal === undefined ? {} : { signal })
    // Without this node's own record, which an earlier run may have left.
    const records = discovery.directory.records().filter(({ peerId }) => peerId !== node.peerId)
    const [start, end] = chooseBlocks(numBlocks, coverageOf(numBlocks, records), count)
    logger.info({ blocks: `${start}:${end}`, numServers: records.length }, 'chose the blocks that fewest servers hold')
    return [start, end]
  } finally {
    await node.records.stop(discovery)
  }
}
