import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkFixture } from '../../bench/gpu-check/fixtures.ts'
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { Engine } from '../../src/engine/engine.ts'
import { CPU, type Device } from '../../src/runtime/device.ts'
import { WEBGPU } from '../../src/runtime/webgpu/platform.ts'
import { asFloat32 } from '../../src/tensor/tensor.ts'
import { loadFixture } from '../families/support.ts'
import { ON_WEBGPU, PATIENTLY } from '../webgpu.ts'

const FIXTURES = new URL('../fixtures', import.meta.url).pathname

/** One for each way in which blocks are built; `npm run gpu-check -- --device webgpu` takes all. */
const FIXTURE_OF_EACH = [
  'bloom',
  'falcon-rw',
  'gemma2',
  'gemma3',
  'llama-head20',
  'mixtral',
  'phi3',
  'qwen3-window-biases',
]

describe('families on WebGPU', ON_WEBGPU, () => {
  for (const fixture of FIXTURE_OF_EACH)
    it(`computes ${fixture} as the reference does`, PATIENTLY, async () => {
      const { error, limit } = await checkFixture(fixture, WEBGPU, 'float32')
      assert.ok(error <= limit, `differs by ${error}`)
    })

  it('computes in float16, within what its sums in float16 allow', PATIENTLY, async () => {
    const { error, limit } = await checkFixture('llama', WEBGPU, 'float16')
    assert.ok(error <= limit, `differs by ${error}`)
  })

  it('computes a mixture of experts in float16, where rounding changes which are chosen', PATIENTLY, async () => {
    const { isRight, choices } = await checkFixture('deepseek-v2-lite', WEBGPU, 'float16')
    assert.ok(isRight, JSON.stringify(choices))
  })

  for (const [fixture, quant] of [
    ['llama', 'int8'],
    ['llama', 'int4'],
    ['llama', 'nf4'],
    ['mixtral', 'int8'],
    ['mixtral', 'int4'],
  ] as const)
    it(`is no further from the reference with ${fixture} in ${quant} than a CPU is`, PATIENTLY, async (context) => {
      const checkpoint = await openCheckpoint(`${FIXTURES}/${fixture}`)
      const { golden } = await loadFixture(fixture)
      const distance = async (device: Device): Promise<number> => {
        const options = { checkpoint, start: 0, end: 3, dtype: 'float32', threads: 1, spin: false } as const
        const engine = await Engine.load({ ...options, cacheTokens: 128, quant, device })
        context.after(() => engine.close())
        const input = golden.get('block0_input')!
        const output = await engine.forward(
          { ...input, data: input.data.slice() },
          { start: 0, end: 3, timeoutMs: 60_000 },
        )
        const expected = asFloat32(golden.get('block2_output')!)
        return Math.sqrt(asFloat32(output).reduce((sum, value, i) => sum + (value - expected[i]!) ** 2, 0))
      }
      const [onCpu, onGpu] = [await distance(CPU), await distance(WEBGPU)]
      assert.ok(onGpu > 0 && onGpu < 1.25 * onCpu, `${onGpu}, on a CPU ${onCpu}`)
    })

  it('refuses experts in MXFP4, by name', PATIENTLY, async () => {
    const options = { start: 0, end: 1, dtype: 'float32', threads: 1, spin: false, cacheTokens: 128 } as const
    const checkpoint = await openCheckpoint(`${FIXTURES}/gpt-oss-mxfp4`)
    await assert.rejects(Engine.load({ ...options, checkpoint, device: WEBGPU }), {
      code: 'GRAPH_UNSUPPORTED',
      message: /experts in mxfp4 on webgpu/,
    })
  })
})
