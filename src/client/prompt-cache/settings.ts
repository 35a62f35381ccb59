import { ropeKey } from '../../families/parts/rope.ts'
import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { AdapterVersions } from '../remote/adapters/adapter-versions.ts'
import type { ModelSessionOptions } from '../model/distributed-model.ts'
import type { CachedModel } from './cached-model.ts'

/** What a session is opened with, beside its length. */
export type SessionSettings = Omit<ModelSessionOptions, 'maxLength'>

/**
 * What keys and values depend on beside the tokens: sessions in which one of these differs have nothing in common. All
 * are compared by identity; an adapter that is being trained is another one after each change.
 */
export type CacheKey = readonly unknown[]

/** The key of a session of up to `maxLength` tokens; of RoPE scalings some go by this length. */
export function cacheKey(model: CachedModel, settings: SessionSettings, maxLength: number): CacheKey {
  const { activeAdapter = model.activeAdapter, prompts = model.prompts, ...others } = settings
  const version = activeAdapter instanceof AdapterVersions ? activeAdapter.version : undefined
  const numBefore = prompts !== undefined && 'before' in prompts ? prompts.before.shape[0]! : 0
  const angles = ropeKey(model.checkpoint.config.ropes, maxLength + numBefore)
  const rest = Object.entries(others).filter(([, value]) => value !== undefined)
  return [activeAdapter, version, prompts, angles, ...rest.toSorted().flat()]
}

/** Whether two keys are the same, part by part. */
export function isSameKey(a: CacheKey, b: CacheKey): boolean {
  return a.length === b.length && a.every((part, i) => Object.is(part, b[i]))
}

/** The most of a server's cache, as a share, that a session is opened with for what may follow. */
const ROOMY_SHARE = 1 / 4

/**
 * How long a session is declared for a request of `needed` tokens, `least` at least: the power of two that servers make
 * of it in most cases anyway, so that the next turns of a conversation fit as well; no more than is needed where that
 * would be much of a cache of `cacheTokens` tokens, or change the angles of RoPE.
 */
export function sessionLength(
  needed: number,
  {
    least,
    cacheTokens,
    config,
  }: { least: number; cacheTokens: number; config: Pick<ModelConfig, 'maxLength' | 'ropes'> },
): number {
  const power = 2 ** Math.ceil(Math.log2(Math.max(needed, least)))
  const roomy = Math.max(needed, Math.min(power, config.maxLength, Math.floor(cacheTokens * ROOMY_SHARE)))
  return ropeKey(config.ropes, roomy) === ropeKey(config.ropes, needed) ? roomy : needed
}
