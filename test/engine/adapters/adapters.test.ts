import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type Adapter, openAdapter } from '../../../src/checkpoint/adapter/adapter.ts'
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { Engine } from '../../../src/engine/engine.ts'
import { ModelEnds } from '../../../src/engine/ends/ends.ts'
import { CPU } from '../../../src/runtime/device.ts'
import type { Quantization } from '../../../src/tensor/quantize.ts'
import { asFloat32, fromFloat32, sliceRows, type Tensor } from '../../../src/tensor/tensor.ts'
import { floats, maxError, readTensors } from '../../families/support.ts'

const ROOT = join(import.meta.dirname, '../../..')
const ADAPTERS = join(ROOT, 'test/fixtures-adapters')
const DEMO = join(ROOT, 'models/demo'),
  MOBY = join(ROOT, 'models/demo-lora-moby')
const THREADS = { threads: 2, spin: false }

async function load(folder: string, { adapterBytes = 1 << 20, quant = 'none' as Quantization } = {}): Promise<Engine> {
  const checkpoint = await openCheckpoint(folder)
  return Engine.load({
    checkpoint,
    start: 0,
    end: checkpoint.config.numBlocks,
    device: CPU,
    dtype: 'float32',
    quant,
    cacheTokens: 4096,
    adapterBytes,
    ...THREADS,
  })
}

/** A pass takes its input's buffer over. */
function copyOf(source: Tensor): Tensor {
  return { ...source, data: source.data.slice() }
}

describe('an adapter gives what PEFT gives', () => {
  for (const name of [
    'llama-patterns',
    'falcon-40b-fused',
    'phi3-fused',
    'bloom-fused',
    'gpt-neox-all-linear',
    'cohere2-all-linear',
  ]) {
    it(name, async () => {
      const fixture = name.replace(/-(patterns|fused|all-linear)$/, '')
      const golden = await readTensors(join(ADAPTERS, name, 'golden.safetensors'))
      await using engine = disposable(await load(join(ROOT, 'test/fixtures', fixture)))
      engine.adapters.add(await openAdapter(join(ADAPTERS, name)))
      const run = async (adapter: string | undefined) =>
        asFloat32(
          await engine.forward(copyOf(golden.get('block0_input')!), {
            start: 0,
            end: engine.end,
            adapter,
            timeoutMs: 60_000,
          }),
        )
      assert.ok(maxError(await run(name), floats(golden, 'output')) < 2e-4)
      assert.ok(maxError(await run(undefined), floats(golden, 'output')) > 1e-2, 'the adapter changes nothing')
      await assert.rejects(run('nobody'), { code: 'ADAPTER_UNKNOWN', message: new RegExp(`nobody.*${name}`) })
    })
  }
})

/** Engines close asynchronously. */
function disposable(engine: Engine): Engine & AsyncDisposable {
  return Object.assign(engine, { [Symbol.asyncDispose]: () => engine.close() })
}

describe('the demo model with its adapter', () => {
  let engine: Engine, ends: ModelEnds
  before(async () => {
    engine = await load(DEMO, { adapterBytes: 8 << 20 })
    ends = await ModelEnds.load({ checkpoint: await openCheckpoint(DEMO), ...THREADS })
    engine.adapters.add(await openAdapter(MOBY))
  })
  after(() => Promise.all([engine?.close(), ends?.close()]))

  async function greedy(
    prompt: readonly number[],
    tokens: number,
    adapter: string | undefined,
  ): Promise<{ ids: number[]; logprobs: number[] }> {
    const session = await engine.openSession({
      start: 0,
      end: engine.end,
      maxLength: prompt.length + tokens,
      adapter,
      timeoutMs: 60_000,
    })
    const ids: number[] = [],
      logprobs: number[] = []
    for (let input = prompt; ids.length < tokens; input = ids.slice(-1)) {
      const hidden = await session.step(await ends.embed(input))
      const logits = await ends.head(asFloat32(sliceRows(hidden, input.length - 1, input.length)).slice())
      const best = logits.reduce((top, x, i) => (x > logits[top]! ? i : top), 0)
      ids.push(best)
      logprobs.push(-Math.log(logits.reduce((sum, x) => sum + Math.exp(x - logits[best]!), 0)))
    }
    session.release()
    return { ids, logprobs }
  }

  it('continues texts as PEFT does; eight sessions with and without it, in one batch, as each alone', async () => {
    const golden = JSON.parse(await readFile(`${MOBY}-golden.json`, 'utf8')) as {
      greedy: { input_ids: number[]; greedy_ids: number[]; token_logprobs: number[] }[]
    }
    for (const { input_ids: prompt, greedy_ids: ids, token_logprobs: logprobs } of golden.greedy) {
      const count = ids.length - prompt.length
      const alone = await greedy(prompt, count, 'demo-lora-moby')
      assert.deepEqual(alone.ids, ids.slice(prompt.length))
      assert.ok(maxError(Float32Array.from(alone.logprobs), Float32Array.from(logprobs.slice(-count))) < 1e-3)
      const base = await greedy(prompt, count, undefined)
      assert.notDeepEqual(base.ids, alone.ids)
      const mixed = await Promise.all(
        Array.from({ length: 8 }, (_, i) => greedy(prompt, count, i % 2 === 0 ? 'demo-lora-moby' : undefined)),
      )
      for (const [i, { ids }] of mixed.entries())
        assert.deepEqual(ids, i % 2 === 0 ? alone.ids : base.ids, `session ${i}`)
    }
  })

  it('refuses an adapter of another model, naming the first matrix that does not fit', async () => {
    const other = await openAdapter(join(ADAPTERS, 'llama-patterns'))
    assert.throws(() => engine.adapters.add(other), {
      code: 'ADAPTER_MISFIT',
      message: /adapter llama-patterns does not fit.*layers\.0\.mlp\.down_proj\.lora_A: it is \[2, 96\].*\[2, 704\]/,
    })
  })
})

describe('room for adapters', () => {
  it('goes to those used last; one in use stays, and what never fits is refused', async () => {
    const folder = join(ROOT, 'test/fixtures/llama')
    const base = await openAdapter(join(ADAPTERS, 'llama-patterns'))
    const named = (name: string): Adapter => ({ ...base, name })
    const rankBytes = 4 * 3 * (4 * 64 + 2 * 64 + 2 * 32 + 3 * (64 + 96))
    // Room for two of rank 4.
    await using engine = disposable(await load(folder, { adapterBytes: 9 * rankBytes }))
    for (const name of ['a', 'b', 'c']) engine.adapters.add(named(name))
    const use = await engine.adapters.acquire('a')
    assert.deepEqual([use.range.first, use.range.ranks], [0, 4])
    ;(await engine.adapters.acquire('b')).release()
    const other = await engine.adapters.acquire('c')
    assert.equal(other.range.first, 4)
    await assert.rejects(engine.adapters.acquire('b'), {
      code: 'ADAPTER_MEMORY',
      message: /b of rank 4 beside those in use/,
    })
    use.release()
    assert.equal((await engine.adapters.acquire('b')).range.first, 0)
    await using small = disposable(await load(folder, { adapterBytes: 3 * rankBytes }))
    assert.throws(() => small.adapters.add(base), { code: 'ADAPTER_MEMORY', message: /rank 4, there is room for/ })
  })

  it('is never filled with weights that are no numbers, and a quantized span takes adapters, too', async () => {
    await using engine = disposable(await load(join(ROOT, 'test/fixtures/llama'), { quant: 'int8' }))
    const [module] = (await openAdapter(join(ADAPTERS, 'llama-patterns'))).modules
    const bad = fromFloat32(new Float32Array(2 * 96).fill(Number.POSITIVE_INFINITY), [2, 96])
    engine.adapters.add({ name: 'bad', modules: [{ ...module!, a: bad }] })
    await assert.rejects(engine.adapters.acquire('bad'), { code: 'ADAPTER_WEIGHT', message: /down_proj\.lora_A/ })
    engine.adapters.add(await openAdapter(join(ADAPTERS, 'llama-patterns')))
    const hidden: Tensor = fromFloat32(new Float32Array(3 * 64).fill(0.5), [1, 3, 64])
    const run = async (adapter?: string) =>
      asFloat32(
        await engine.forward(
          { ...hidden, data: hidden.data.slice() },
          { start: 0, end: 3, adapter, timeoutMs: 60_000 },
        ),
      )
    assert.ok(maxError(await run('llama-patterns'), await run()) > 1e-2)
  })
})

it('every adapter of the fixtures is tested', async () => {
  assert.equal((await readdir(ADAPTERS)).length, 6)
})
