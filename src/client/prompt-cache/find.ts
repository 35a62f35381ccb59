import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { WINDOW_MARGIN_TOKENS } from '../../checkpoint/config/layer-config.ts'
import type { HeldSession } from './held-session.ts'
import { type CacheKey, isSameKey } from './settings.ts'

/** What is waited for is at most so many times as long as what is gained. */
const PATIENCE = 2

/** Up to how many tokens are computed again rather than copied or waited for: it takes less time. */
const FEW_TOKENS = 32

/** A session that a prompt can go on from. */
export interface Match {
  readonly held: HeldSession
  /** Whether it can be taken as it is: nobody uses it, and little is lost of it. */
  readonly isWhole: boolean
  /** Whether the prompt goes on about where it ends, so that nothing is left of it that another prompt would want. */
  readonly isEnd: boolean
}

/** What is looked for: sessions of this key that hold a beginning of `ids`, with room for `needed` tokens. */
export interface Sought {
  readonly ids: readonly number[]
  readonly key: CacheKey
  readonly needed: number
}

/** The session that holds most of a prompt's beginning; undefined where none is worth going on from. */
export function findBest(
  sessions: Iterable<HeldSession>,
  { ids, key, needed }: Sought,
  { layers }: Pick<ModelConfig, 'layers'>,
): Match | undefined {
  const window = Math.min(...layers.map((layer) => layer.window ?? Infinity))
  let best: (Match & { worth: number }) | undefined
  for (const held of sessions) {
    if (!isSameKey(held.key, key)) continue
    const prefix = held.prefixOf(ids)
    const numBehind = held.ids.length - prefix
    if (!held.isPrefilled && !held.isParked && held.ids.length > PATIENCE * prefix) continue
    // Blocks with a window hold the latest positions only.
    if (numBehind > WINDOW_MARGIN_TOKENS && held.ids.length > window) continue
    const isIdle = held.isParked && held.turns.isFree
    const isEnd = numBehind <= FEW_TOKENS
    const isWhole = isIdle && isEnd && needed <= held.maxLength && prefix > 0
    const worth = prefix - (isWhole ? 0 : FEW_TOKENS)
    if (worth > (best?.worth ?? 0)) best = { held, isWhole, isEnd, worth }
  }
  return best
}
