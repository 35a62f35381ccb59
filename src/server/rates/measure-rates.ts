import type { Engine } from '../../engine/engine.ts'
import type { BlockRates } from '../../swarm/records/rates.ts'
import { PREFILL_TOKENS } from '../../swarm/records/rates.ts'
import { fromFloat32 } from '../../tensor/tensor.ts'
import { convert } from '../../tensor/convert.ts'

const STEPS = 8

/** Tokens of the prefill that is measured: few enough for a slow machine, enough to be computed as prefills are. */
const MEASURED_PREFILL_TOKENS = 64

/** How fast an idle engine computes a block: a few decode steps, and one prefill if the cache has room for it. */
export async function measureRates(engine: Engine): Promise<BlockRates> {
  const { config, start, end } = engine
  const prefillTokens = Math.min(MEASURED_PREFILL_TOKENS, Math.min(engine.cacheTokens, config.maxLength) - STEPS - 1)
  const hasPrefill = prefillTokens >= PREFILL_TOKENS
  const maxLength = STEPS + 1 + (hasPrefill ? prefillTokens : 0)
  const session = await engine.openSession({ start, end, maxLength, timeoutMs: 0 })
  const seconds = async (steps: number, tokens: number): Promise<number> => {
    const shape = [tokens, config.hiddenSize]
    const began = performance.now()
    for (let i = 0; i < steps; i++)
      await session.step(convert(fromFloat32(new Float32Array(tokens * config.hiddenSize), shape), engine.dtype))
    return (performance.now() - began) / 1000
  }
  try {
    await seconds(1, 1)
    const decode = (STEPS * (end - start)) / (await seconds(STEPS, 1))
    return { decode, prefill: hasPrefill ? (prefillTokens * (end - start)) / (await seconds(1, prefillTokens)) : 0 }
  } finally {
    session.release()
  }
}
