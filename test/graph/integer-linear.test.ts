import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { Graph } from '../../src/graph/builder.ts'
import { encodeModel } from '../../src/graph/encode.ts'
import { linear } from '../../src/graph/linear.ts'
import { CPU } from '../../src/runtime/device.ts'
import { createEnvironment } from '../../src/runtime/environment.ts'
import { memoryInfo } from '../../src/runtime/values.ts'
import { runBound } from '../../src/runtime/run.ts'
import { createSession } from '../../src/runtime/session.ts'
import { TensorScope } from '../../src/runtime/tensor-scope.ts'
import { rotate, rotationSize } from '../../src/tensor/rotation.ts'
import { fromFloat32 } from '../../src/tensor/tensor.ts'
import { randomFloats } from './support.ts'

const OUT = 48

/** A linear layer in int8 on a CPU over given codes [inner, OUT] and scales. */
class Int8Layer implements Disposable {
  readonly #env = createEnvironment({ threads: 2, spin: false })
  readonly #cpu = memoryInfo(this.#env.ort, CPU)
  readonly #options = this.#env.ort.create('CreateRunOptions')
  readonly #session
  readonly #inner: number

  constructor(inner: number, codes: Int8Array, scales: Float32Array) {
    this.#inner = inner
    const g = new Graph('layer')
    const x = g.input('x', 'float32', ['rows', 'tokens', inner])
    g.output('y', linear(g, { device: 'cpu', dtype: 'float32', quant: 'int8' }, x, 'layer', OUT))
    const data = new Uint8Array(codes.buffer.slice(0) as ArrayBuffer)
    const inline = new Map([['layer.weight.scales', fromFloat32(scales, [OUT])]])
    this.#session = createSession(this.#env, encodeModel(g, inline), [
      { name: 'layer.weight.codes', tensor: { dtype: 'int8', shape: [inner, OUT], data }, prepacked: true },
    ])
    // What counts as prepacked is not read again.
    data.fill(0x55)
  }

  run(x: Float32Array, rows: number, tokens: number): Float32Array {
    using scope = new TensorScope(this.#env.ort)
    const y = new Float32Array(rows * tokens * OUT)
    runBound(
      this.#env.ort,
      this.#session.pointer,
      this.#options,
      [['x', scope.wrap(this.#cpu, 'float32', [rows, tokens, this.#inner], x)]],
      [['y', scope.wrap(this.#cpu, 'float32', [rows, tokens, OUT], y)]],
    )
    return y
  }

  [Symbol.dispose](): void {
    const { ort } = this.#env
    ort.release('ReleaseSession', this.#session.pointer)
    ort.release('ReleaseRunOptions', this.#options)
    ort.release('ReleaseMemoryInfo', this.#cpu)
  }
}

function randomCodes(inner: number): Int8Array {
  return Int8Array.from(randomFloats(3, inner * OUT), (x) => Math.round(64 * x))
}

describe('a linear layer in int8 on a CPU', () => {
  const inner = 320
  const codes = randomCodes(inner)
  const scales = randomFloats(4, OUT).map((x) => 0.01 * (x + 2))
  const layer = new Int8Layer(inner, codes, scales)
  after(() => layer[Symbol.dispose]())

  it('yields for a row what it yields for it in any other run, to the bit', () => {
    const tokens = 33
    const x = randomFloats(5, tokens * inner)
    // One row that is much larger than its neighbours, and one of zeros.
    for (let i = 0; i < inner; i++) x[7 * inner + i]! *= 1000
    x.fill(0, 9 * inner, 10 * inner)
    const all = layer.run(x, 1, tokens)
    assert.deepEqual(layer.run(x, tokens, 1), all)
    for (let from = 0, count = 1; from < tokens; from += count, count = (count % 5) + 1) {
      const part = layer.run(
        x.slice(from * inner, Math.min(tokens, from + count) * inner),
        1,
        Math.min(count, tokens - from),
      )
      assert.deepEqual(part, all.slice(from * OUT, from * OUT + part.length))
    }
    assert.ok(all.subarray(9 * OUT, 10 * OUT).every((value) => value === 0))
    assert.ok(all.subarray(8 * OUT, 9 * OUT).some((value) => value !== 0))
  })

  it('multiplies in whole numbers', () => {
    const x = randomFloats(6, inner)
    const turned = x.slice()
    rotate(turned, rotationSize(inner))
    const step = Math.fround(turned.reduce((most, value) => Math.max(most, Math.abs(value)), 0) * Math.fround(1 / 127))
    const y = layer.run(x, 1, 1)
    for (let out = 0; out < OUT; out++) {
      let sum = 0,
        magnitude = 0
      for (const [i, value] of turned.entries()) {
        const product = Math.round(value / step) * codes[i * OUT + out]!
        sum += product
        magnitude += Math.abs(codes[i * OUT + out]!)
      }
      // A value that lies between two steps may go to either one.
      const unsure = (3 * magnitude) / inner
      assert.ok(Math.abs(y[out]! / (scales[out]! * step) - sum) <= unsure, `output ${out}`)
    }
  })

  it('is not cut off where neighbours reach the bound of 128 and activations their ends', () => {
    for (const sign of [1, -1]) {
      const extreme = new Int8Array(inner * OUT).fill(64 * sign)
      using full = new Int8Layer(inner, extreme, new Float32Array(OUT).fill(1))
      // What, rotated, is 1 everywhere.
      const x = new Float32Array(inner).fill(1)
      rotate(x, rotationSize(inner))
      for (const direction of [1, -1]) {
        const y = full.run(
          x.map((value) => value * direction),
          1,
          1,
        )
        for (const value of y) assert.ok(Math.abs(value - sign * direction * 64 * inner) < 0.1, `${value}`)
      }
    }
  })

  it('says where an input is no number', () => {
    const x = randomFloats(7, 2 * inner)
    x[5] = Number.NaN
    const y = layer.run(x, 1, 2)
    assert.ok(y.subarray(0, OUT).every((value) => Number.isNaN(value)))
    assert.ok(y.subarray(OUT).every((value) => Number.isFinite(value)))
  })
})
