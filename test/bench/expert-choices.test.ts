import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SHARE_OF_LARGEST } from '../../src/client/verification/tolerance.ts'
import { convert } from '../../src/tensor/convert.ts'
import { asFloat32, fromFloat32 } from '../../src/tensor/tensor.ts'
import { type DeviceRun, explainByExperts } from '../../bench/gpu-check/expert-choices.ts'
import { BlockInFloat32, type Choice } from '../../bench/gpu-check/experts-in-float32.ts'
import { FIXTURES, type Fixture, blockInput, floats, loadFixture, maxError } from '../families/support.ts'

/** What a device does besides rounding. */
interface Behaviour {
  /** Whether it takes the next expert instead of the last of those that it should. */
  readonly swaps?: (block: number, position: number, choice: Choice) => boolean
  /** Changes a block's output, [positions, hidden]. */
  readonly damage?: (output: Float32Array, block: number) => void
}

/** A device that gives its outputs in float16. */
async function deviceOf(fixture: Fixture, { swaps = () => false, damage }: Behaviour): Promise<DeviceRun> {
  const runBlock = async (block: number, hidden: Float32Array): Promise<Float32Array> => {
    const blockRun = new BlockInFloat32(fixture, block)
    const { choices = [] } = await blockRun.run(hidden)
    const swapped = [...choices.entries()].filter(([position, choice]) => swaps(block, position, choice))
    const { output } = await blockRun.run(hidden, new Map(swapped))
    damage?.(output, block)
    return asFloat32(convert(convert(fromFloat32(output, [output.length]), 'float16'), 'float32')).slice()
  }
  let whole = blockInput(fixture, 0)
  for (let block = 0; block < fixture.config.numBlocks; block++) whole = await runBlock(block, whole)
  return { dtype: 'float16', whole, runBlock }
}

const fixture = await loadFixture('deepseek-v2-lite')
const { hiddenSize, numBlocks } = fixture.config
const expected = floats(fixture.golden, `block${numBlocks - 1}_output`)
const largest = maxError(expected, new Float32Array(expected.length))

/** Where two experts are about equal in the reference, as the test below sees. */
const TIE = { block: 1, position: 5 }
const atTie = (block: number, position: number): boolean => block === TIE.block && position === TIE.position

/** Errs by twice the limit in one value of the last block's output. */
function damageAt(position: number): (output: Float32Array, block: number) => void {
  const at = position * hiddenSize
  return (output, block) => {
    if (block === numBlocks - 1) output[at] = output[at]! + 2 * SHARE_OF_LARGEST.float16 * largest
  }
}

describe('a model that is wrong as a whole in 16 bits', () => {
  it('is explained where a device takes the other one of two experts that are about equal', async () => {
    const { choices } = await new BlockInFloat32(fixture, TIE.block).run(blockInput(fixture, TIE.block))
    assert.ok(choices![TIE.position]!.gap < SHARE_OF_LARGEST.float16)
    const device = await deviceOf(fixture, { swaps: atTie })
    assert.ok(maxError(device.whole, expected) > SHARE_OF_LARGEST.float16 * largest)
    const { changed, reached, worst } = await explainByExperts(fixture, device)
    assert.ok(worst < 1, `${worst}`)
    assert.ok(changed >= 1 && reached >= 1 && reached < 20, `${changed} ${reached}`)
  })

  it('is not explained by an expert that is clearly worse', async () => {
    const device = await deviceOf(fixture, {
      swaps: (block, position, { gap }) => block === 1 && position === 0 && gap > 0.1,
    })
    assert.ok((await explainByExperts(fixture, device)).worst > 1)
  })

  for (const [what, position] of [
    ['the changed choice', TIE.position],
    ['what it reaches', TIE.position + 1],
    ['what it does not reach', 0],
  ] as const)
    it(`is not explained where another error hides at ${what}`, async () => {
      const damage = damageAt(position)
      assert.ok((await explainByExperts(fixture, await deviceOf(fixture, { swaps: atTie, damage }))).worst > 1)
    })

  it('is not explained where all blocks at once give something else than one after another', async () => {
    const device = await deviceOf(fixture, { swaps: atTie })
    const whole = device.whole.slice()
    whole[TIE.position * hiddenSize] = NaN
    assert.equal((await explainByExperts(fixture, { ...device, whole })).worst, Infinity)
  })
})

it('the choice of experts is seen in every block that has some, and seeing it changes nothing', async () => {
  let models = 0
  for (const name of FIXTURES) {
    const model = await loadFixture(name)
    const { numBlocks: blocks, hiddenSize: width } = model.config
    const runs = Array.from({ length: blocks }, (_, i) => new BlockInFloat32(model, i).run(blockInput(model, i)))
    const results = await Promise.all(runs)
    if (results.some(({ choices }) => choices !== undefined)) models++
    for (const [block, { output, choices }] of results.entries()) {
      assert.ok(maxError(output, floats(model.golden, `block${block}_output`)) < 1e-4, `${name} ${block}`)
      if (choices === undefined) continue
      assert.equal(choices.length, output.length / width)
      for (const { chosen, last, next } of choices) {
        const experts = new Set(chosen.split(' ').map(Number))
        assert.ok(experts.has(last) && !experts.has(next), `${name} ${block}: ${chosen}; ${last} ${next}`)
      }
    }
  }
  assert.ok(models > 10, `${models}`)
})
