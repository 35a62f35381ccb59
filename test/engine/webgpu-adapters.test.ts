import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { type Adapter, openAdapter } from '../../src/checkpoint/adapter/adapter.ts'
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { Engine, type EngineOptions } from '../../src/engine/engine.ts'
import { WEBGPU } from '../../src/runtime/webgpu/platform.ts'
import { webGpuProcess } from '../../src/runtime/webgpu/process-state.ts'
import { seededRandom } from '../checkpoint/write.ts'
import { floats, maxError, readTensors } from '../families/support.ts'
import { ON_WEBGPU, PATIENTLY } from '../webgpu.ts'
import { asFloat32 } from '../../src/tensor/tensor.ts'
import { Both, type Pair, assertAlike, copyOf, states } from './both.ts'

const ROOT = join(import.meta.dirname, '..')
const ADAPTERS = join(ROOT, 'fixtures-adapters')

/** What one rank of an adapter takes in all blocks of the fixture. */
const RANK_BYTES = 4 * 3 * (4 * 64 + 2 * 64 + 2 * 32 + 3 * (64 + 96))

/** An adapter of rank 4, as it is and with other strengths. */
async function adapterOf(name: string, strength: number): Promise<Adapter> {
  const { modules } = await openAdapter(join(ADAPTERS, 'llama-patterns'))
  return { name, modules: modules.map((module) => ({ ...module, scaling: strength * module.scaling })) }
}

/** The fixture with adapters a, b and c, and room for so many ranks. */
async function loadWithAdapters(ranks: number, options: Partial<EngineOptions> = {}): Promise<Both> {
  const checkpoint = await openCheckpoint(join(ROOT, 'fixtures/llama'))
  const both = await Both.load(checkpoint, { adapterBytes: ranks * RANK_BYTES, ...options })
  for (const engine of [both.cpu, both.gpu])
    for (const [i, name] of ['a', 'b', 'c'].entries()) engine.adapters.add(await adapterOf(name, 1 - i))
  return both
}

describe('adapters on WebGPU', ON_WEBGPU, () => {
  it('change what each row of a batch gives as they do on the CPU', PATIENTLY, async (context) => {
    context.diagnostic('seed 21')
    const random = seededRandom(21)
    const both = await loadWithAdapters(12, { prefillChunkTokens: 24 })
    context.after(() => both.close())
    const { hiddenSize } = both.cpu.config
    const prompts = { ...states(random, 3 * 5, hiddenSize), shape: [3, 5, hiddenSize] }
    const sessions: Pair[] = []
    for (const adapter of ['a', undefined, 'b', 'a', 'c']) sessions.push(await both.open({ adapter }))
    sessions.push(await both.open({ adapter: 'b', prompts }), await both.open({ adapter: 'a', start: 1, end: 2 }))
    for (const tokens of [30, 1, 1, 7, 1])
      await Promise.all(sessions.map((session) => session.step(states(random, tokens, hiddenSize))))
    const [a] = sessions as [Pair]
    const fork = await both.open({ adapter: 'a' })
    await fork.forkFrom(a, 20)
    a.truncate(11)
    for (let i = 0; i < 3; i++)
      await Promise.all([a, fork, sessions[2]!].map((session) => session.step(states(random, 1, hiddenSize))))
    for (const session of [...sessions, fork]) session.release()
    const batch = { ...states(random, 2 * 40, hiddenSize), shape: [2, 40, hiddenSize] }
    const pass = async (engine: Engine, adapter: string | undefined) =>
      engine.forward(copyOf(batch), { start: 0, end: 3, timeoutMs: 60_000, adapter })
    for (const adapter of ['c', undefined, 'a'])
      assertAlike(await pass(both.gpu, adapter), await pass(both.cpu, adapter), `a pass with ${adapter}`)
    const [plain, adapted] = [await pass(both.gpu, undefined), await pass(both.gpu, 'a')]
    assert.ok(maxError(asFloat32(plain), asFloat32(adapted)) > 1e-2, 'the adapter changes nothing')
  })

  it('make room for one another on the device, whose memory is given back', PATIENTLY, async (context) => {
    const before = webGpuProcess.allocatedBytes
    const random = seededRandom(22)
    const both = await loadWithAdapters(8)
    context.after(() => both.close())
    const { hiddenSize } = both.cpu.config
    const use = async (...names: string[]): Promise<number> => {
      const pairs: Pair[] = []
      for (const adapter of names) pairs.push(await both.open({ adapter }))
      for (const tokens of [3, 1, 1])
        await Promise.all(pairs.map((pair) => pair.step(states(random, tokens, hiddenSize))))
      for (const pair of pairs) pair.release()
      const last = await both.open({ start: 0, end: 1 })
      await last.step(states(random, 1, hiddenSize))
      last.release()
      return webGpuProcess.allocatedBytes
    }
    await use('a')
    const two = await use('a', 'b')
    for (const names of [['c'], ['a'], ['b', 'c'], ['c', 'a']]) assert.ok((await use(...names)) <= two, names.join())
    await both.close()
    assert.equal(webGpuProcess.allocatedBytes, before)
  })

  it('of other ranks take whole units of them, filled up with zeros', PATIENTLY, async (context) => {
    const both = await loadWithAdapters(8)
    context.after(() => both.close())
    const { hiddenSize } = both.cpu.config
    const random = seededRandom(24)
    const { modules } = await openAdapter(join(ADAPTERS, 'llama-patterns'))
    const query = modules.find(({ name }) => name.includes('q_proj'))
    for (const rank of [1, 3, 6]) {
      const [a, b] = [states(random, rank, hiddenSize), states(random, hiddenSize, rank)]
      const adapter = { name: `rank ${rank}`, modules: [{ ...query!, a, b }] }
      for (const engine of [both.cpu, both.gpu]) engine.adapters.add(adapter)
      const pair = await both.open({ adapter: adapter.name })
      for (const tokens of [5, 1]) await pair.step(states(random, tokens, hiddenSize))
      pair.release()
      const use = await both.gpu.adapters.acquire(adapter.name)
      use.release()
      assert.equal(use.range.ranks, rank <= 4 ? 4 : 8)
    }
  })

  for (const quant of ['int8', 'int4', 'nf4'] as const)
    it(`are added to weights in ${quant} no worse than on a CPU`, PATIENTLY, async (context) => {
      const [exact, both] = await Promise.all([loadWithAdapters(4), loadWithAdapters(4, { quant })])
      context.after(() => Promise.all([exact.close(), both.close()]))
      const { hiddenSize } = both.cpu.config
      const hidden = { ...states(seededRandom(23), 12, hiddenSize), shape: [1, 12, hiddenSize] }
      const pass = async (engine: Engine) =>
        asFloat32(await engine.forward(copyOf(hidden), { start: 0, end: 3, timeoutMs: 60_000, adapter: 'a' }))
      const expected = await pass(exact.cpu)
      const distance = async (engine: Engine) =>
        Math.sqrt((await pass(engine)).reduce((sum, value, i) => sum + (value - expected[i]!) ** 2, 0))
      const [onCpu, onGpu] = [await distance(both.cpu), await distance(both.gpu)]
      assert.ok(onGpu > 0 && onGpu < 1.25 * onCpu, `${onGpu}, on a CPU ${onCpu}`)
    })

  for (const [name, dtype] of [
    ['bloom-fused', 'float32'],
    ['falcon-40b-fused', 'float32'],
    ['phi3-fused', 'float32'],
  ] as const)
    it(`give what PEFT gives: ${name}`, PATIENTLY, async (context) => {
      const golden = await readTensors(join(ADAPTERS, name, 'golden.safetensors'))
      const checkpoint = await openCheckpoint(join(ROOT, 'fixtures', name.replace('-fused', '')))
      const end = checkpoint.config.numBlocks
      const options = { checkpoint, start: 0, end, dtype, threads: 1, spin: false, cacheTokens: 512 } as const
      const engine = await Engine.load({ ...options, device: WEBGPU, adapterBytes: 1 << 20 })
      context.after(() => engine.close())
      engine.adapters.add(await openAdapter(join(ADAPTERS, name)))
      const input = copyOf(golden.get('block0_input')!)
      const output = await engine.forward(input, { start: 0, end, adapter: name, timeoutMs: 60_000 })
      assert.ok(maxError(asFloat32(output), floats(golden, 'output')) < 2e-4)
    })
})
