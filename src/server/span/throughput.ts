import type { Engine } from '../../engine/engine.ts'
import { fromFloat32 } from '../../tensor/tensor.ts'
import { convert } from '../../tensor/convert.ts'

const STEPS = 8

/**
 * Tokens per second of one session's decode steps through the whole span, measured in a few steps on the idle engine.
 */
export async function measureThroughput(engine: Engine): Promise<number> {
  const { config, start, end } = engine
  const session = await engine.openSession({ start, end, maxLength: STEPS + 1, timeoutMs: 0 })
  try {
    const step = () =>
      session.step(convert(fromFloat32(new Float32Array(config.hiddenSize), [1, config.hiddenSize]), engine.dtype))
    await step()
    const began = performance.now()
    for (let i = 0; i < STEPS; i++) await step()
    return (STEPS * 1000) / (performance.now() - began)
  } finally {
    session.release()
  }
}
