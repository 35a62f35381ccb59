import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'
import { describe, it, type TestContext } from 'node:test'
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { Engine } from '../../../src/engine/engine.ts'
import type { EngineSession } from '../../../src/engine/session/engine-session.ts'
import { CPU } from '../../../src/runtime/device.ts'
import { fromFloat32, type Tensor } from '../../../src/tensor/tensor.ts'

const FOLDER = new URL('../../fixtures/llama', import.meta.url).pathname

async function load(context: TestContext): Promise<Engine> {
  const checkpoint = await openCheckpoint(FOLDER)
  const engine = await Engine.load({
    checkpoint,
    start: 0,
    end: 3,
    device: CPU,
    dtype: 'float32',
    threads: 1,
    spin: false,
    cacheTokens: 128,
  })
  context.after(() => engine.close())
  return engine
}

function token({ config }: Engine): Tensor {
  return fromFloat32(new Float32Array(config.hiddenSize).fill(0.1), [1, config.hiddenSize])
}

/** Steps until one has been computed in this thread, which takes no task of the engine thread. */
async function stepUntilInline(engine: Engine, session: EngineSession): Promise<void> {
  const last = { inline: false }
  const observe = ({ results }: { readonly results: readonly unknown[] }): void => {
    last.inline = results.length === 0
  }
  engine.on('run', observe)
  while (!last.inline && session.position < session.maxLength - 8) {
    await session.step(token(engine))
    await setTimeout(5)
  }
  engine.off('run', observe)
  assert.ok(last.inline, 'no step was short enough for this thread')
}

describe('sessions of an engine', () => {
  it('closed in the moment in which they ask for a step compute nothing and leave others alone', async (context) => {
    const engine = await load(context)
    const session = await engine.openSession({ start: 0, end: 3, maxLength: 64, timeoutMs: 0 })
    await stepUntilInline(engine, session)
    const step = session.step(token(engine))
    session.release()
    await assert.rejects(step, { code: 'SESSION_CLOSED' })
    const other = await engine.openSession({ start: 0, end: 3, maxLength: 64, timeoutMs: 0 })
    assert.equal((await other.step(token(engine))).shape[0], 1)
    other.release()
  })

  it('give everything back where deep prompts are of no float type', async (context) => {
    const engine = await load(context)
    const { hiddenSize } = engine.config
    const prompts: Tensor = { dtype: 'int64', shape: [3, 1, hiddenSize], data: new Uint8Array(3 * hiddenSize * 8) }
    const opened = engine.openSession({ start: 0, end: 3, maxLength: 64, timeoutMs: 0, prompts })
    await assert.rejects(opened, { code: 'TENSOR_DTYPE' })
    assert.equal(engine.numSessions, 0)
    assert.equal(engine.cacheTokensLeft, engine.cacheTokens)
  })

  it('that wait for room are told at once when the engine is closed', async (context) => {
    const engine = await load(context)
    const hour = { start: 0, end: 3, maxLength: 128, timeoutMs: 3_600_000 }
    await engine.openSession(hour)
    const told = assert.rejects(engine.openSession(hour), { code: 'ENGINE_CLOSED' })
    await engine.close()
    await told
    await assert.rejects(engine.openSession(hour), { code: 'ENGINE_CLOSED' })
  })
})
