import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { clipGradients } from '../../../../src/client/training/optimizers/clip.ts'
import { Optimizer, type OptimizerOptions } from '../../../../src/client/training/optimizers/optimizer.ts'
import { type ScheduleOptions, rateFactor } from '../../../../src/client/training/optimizers/schedule.ts'
import { parameter } from '../../../../src/client/training/parameter.ts'

interface Reference {
  readonly learningRate: number
  readonly start: number[]
  readonly gradients: number[][]
  readonly optimizers: Record<string, { options: OptimizerOptions; values: number[][] }>
  readonly schedules: (ScheduleOptions & { factors: number[] })[]
  readonly clipping: { maxNorm: number; norm: number; gradients: number[] }[]
}

const file = new URL('./reference.json', import.meta.url)
const reference = JSON.parse(await readFile(file, 'utf8')) as Reference
const { learningRate, start, gradients } = reference

function assertClose(found: ArrayLike<number>, wanted: readonly number[]): void {
  assert.equal(found.length, wanted.length)
  for (const [i, value] of wanted.entries())
    assert.ok(Math.abs(found[i]! - value) <= 1e-6 * Math.max(1, Math.abs(value)), `${found[i]} is not ${value}`)
}

describe('optimizers do what torch does', () => {
  for (const [name, { options, values }] of Object.entries(reference.optimizers)) {
    test(name, async () => {
      const own = parameter('p', [2, 3], Float32Array.from(start))
      const optimizer = new Optimizer([own], options)
      for (const [i, gradient] of gradients.entries()) {
        own.gradient.set(gradient)
        await optimizer.step(learningRate)
        assertClose(own.values, values[i]!)
      }
    })

    test(`${name}, stopped and restored, goes on bitwise`, async () => {
      const [whole, first] = [1, 2].map(() => parameter('p', [6], Float32Array.from(start)))
      const [straight, broken] = [new Optimizer([whole!], options), new Optimizer([first!], options)]
      for (const [i, gradient] of gradients.entries()) {
        whole!.gradient.set(gradient)
        await straight.step(learningRate)
        if (i < 3) {
          first!.gradient.set(gradient)
          await broken.step(learningRate)
        }
      }
      const second = parameter('p', [6], first!.values.slice())
      const resumed = new Optimizer([second], options)
      await resumed.restore(broken.state)
      for (const gradient of gradients.slice(3)) {
        second.gradient.set(gradient)
        await resumed.step(learningRate)
      }
      assert.deepEqual(second.values, whole!.values)
    })
  }
})

test('learning rates are those of transformers', () => {
  assert.ok(reference.schedules.length >= 9)
  for (const { factors, ...schedule } of reference.schedules)
    assertClose(
      factors.map((_, step) => rateFactor(schedule, step)),
      factors,
    )
})

test('gradients are clipped by their common norm as torch does', async () => {
  for (const { maxNorm, norm, gradients: wanted } of reference.clipping) {
    const parts = [parameter('a', [2]), parameter('b', [4])]
    parts[0]!.gradient.set(gradients[0]!.slice(0, 2))
    parts[1]!.gradient.set(gradients[0]!.slice(2))
    assertClose([await clipGradients(parts, maxNorm)], [norm])
    assertClose([...parts[0]!.gradient, ...parts[1]!.gradient], wanted)
  }
})

test('options that cannot be are refused', () => {
  const bad: OptimizerOptions[] = [
    { name: 'adagrad' as 'adam' },
    { betas: [1, 0.9] },
    { weightDecay: -1 },
    { name: 'sgd', momentum: 1 },
    { eps: NaN },
  ]
  for (const options of bad) assert.throws(() => new Optimizer([], options), { code: 'USAGE' })
})
