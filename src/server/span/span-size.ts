import { UsageError } from '../../base/errors.ts'
import { sizeText } from '../../base/size.ts'
import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { type SpanPlan, planSpan } from '../../engine/plan/plan.ts'
import type { KvDType } from '../../graph/lowering.ts'
import type { Device } from '../../runtime/device.ts'
import { freeDeviceBytes } from '../../runtime/choose-device.ts'
import type { SwarmLogger } from '../../swarm/node/node.ts'
import type { FloatDType } from '../../tensor/dtype.ts'
import type { Quantization } from '../../tensor/quantize.ts'
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
  /** What backward passes may take of memory, 0 for none of them; by default what a sequence of some length takes. */
  readonly trainingBytes?: number | undefined
  /** The device memory that the span may take; by default what is free now. */
  readonly memoryBytes?: number | undefined
}

/** How many blocks a server holds, with how much cache; `start` is the first of them, where that was given. */
export interface SpanSize {
  readonly start: number | undefined
  readonly numBlocks: number
  readonly cacheTokens: number
  readonly trainingBytes: number
}

/**
 * Decides how much a server holds: the span given, or else as many blocks as given or fit. Throws `UsageError` for
 * blocks that the model does not have, and if not one block fits.
 */
export function sizeSpan(config: ModelConfig, options: SpanSizeOptions, logger: SwarmLogger): SpanSize {
  const { start, end } = options
  if (start !== undefined && end !== undefined) {
    checkSpan(start, end, config.numBlocks)
    const numBlocks = end - start
    const { cacheTokens, trainingBytes } = planServed(config, { ...options, numBlocks })
    return { start, numBlocks, cacheTokens, trainingBytes }
  }
  const plan = planServed(config, options)
  checkPlan(plan, options, logger)
  const { numBlocks, cacheTokens, trainingBytes } = plan
  return { start: numBlocks === config.numBlocks ? 0 : undefined, numBlocks, cacheTokens, trainingBytes }
}

/** The memory plan of a server with these options, from the model's config alone. */
export function planServed(config: ModelConfig, options: Omit<SpanSizeOptions, 'start' | 'end'>): SpanPlan {
  const { device, dtype, quant, kvDType, numBlocks, cacheTokens, prefillChunkTokens } = options
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
    adapterBytes: options.adapterBytes,
    trainingBytes: options.trainingBytes,
  })
}

function freeOn(device: Device): number {
  return device.kind === 'cpu' ? freeMemoryBytes() : (freeDeviceBytes(device) ?? 0)
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
