import { freemem } from 'node:os'
import type { ModelConfig } from '../checkpoint/config.ts'
import { cacheShape } from '../families/graphs.ts'
import type { Device } from '../runtime/device.ts'
import { type FloatDType, dtypeSize } from '../tensor/dtype.ts'

/** The share of free memory that the cache may take, and a bound beyond which more sessions would only wait for compute. */
const FREE_MEMORY_SHARE = 0.25
const MAX_TOKENS = 262_144
const MIN_TOKENS = 1024

/** Bytes of KV cache that one token takes in `numBlocks` blocks. */
export function cacheBytesPerToken(config: ModelConfig, device: Device, dtype: FloatDType, numBlocks: number): number {
  const { kvHeads, headDim } = cacheShape(config, { device: device.kind, dtype })
  return 2 * kvHeads * headDim * dtypeSize(dtype) * numBlocks
}

/** How many tokens of cache a server takes where nobody says: what fits into a part of the memory that is free now. */
export function defaultCacheTokens(bytesPerToken: number): number {
  return Math.max(MIN_TOKENS, Math.min(MAX_TOKENS, Math.floor(freemem() * FREE_MEMORY_SHARE / bytesPerToken)))
}
