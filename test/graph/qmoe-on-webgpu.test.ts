import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { buildBlockGraph } from '../../src/families/graphs/graphs.ts'
import type { FinishedGraph } from '../../src/graph/encode.ts'
import { encodeModel } from '../../src/graph/encode.ts'
import type { Node, Value } from '../../src/graph/value.ts'
import { CPU, type Device } from '../../src/runtime/device.ts'
import { createEnvironment, environmentFor } from '../../src/runtime/environment.ts'
import { runBound } from '../../src/runtime/run.ts'
import { createResidentSession } from '../../src/runtime/session.ts'
import { TensorScope } from '../../src/runtime/tensor-scope.ts'
import { threadRuntime } from '../../src/runtime/thread-runtime.ts'
import { memoryInfo } from '../../src/runtime/values.ts'
import { openWebGpu } from '../../src/runtime/webgpu/open.ts'
import { WEBGPU } from '../../src/runtime/webgpu/platform.ts'
import { byteLength } from '../../src/tensor/tensor.ts'
import { seededRandom } from '../checkpoint/write.ts'
import { loadFixture } from '../families/support.ts'
import { ON_WEBGPU, PATIENTLY } from '../webgpu.ts'

const TOKENS = 16

/** The value with its named dimensions as numbers. */
const fixed = (value: Value): Value => ({
  ...value,
  shape: value.shape.map((dim) => (typeof dim === 'number' ? dim : dim === 'rows' ? 1 : TOKENS)),
})

/** The shape of a value whose dimensions are numbers. */
const shapeOf = ({ shape }: Value) => shape.map(Number)

/** A mixture's node alone, with everything that it takes as inputs of fixed shapes. */
function alone({ outputs: [output], ...node }: Node): {
  graph: FinishedGraph
  inputs: readonly Value[]
  output: Value
} {
  const inputs = node.inputs.map((value) => value && fixed(value))
  const made = fixed(output!)
  const given = inputs.filter((value) => value !== undefined)
  const graph = {
    name: 'mixture',
    inputs: given,
    outputs: [{ name: made.name, value: made }],
    parameters: [],
    constants: [],
    nodes: [{ ...node, inputs, outputs: [made] }],
  }
  return { graph, inputs: given, output: made }
}

/** Runs it on a device, on these bytes. */
function run(device: Device, { graph, inputs, output }: ReturnType<typeof alone>, data: readonly Uint8Array[]) {
  const env = environmentFor(device, createEnvironment({ threads: 1, spin: false }))
  if (device.kind === 'webgpu') openWebGpu(env, device)
  const heap = threadRuntime.pieces(device)
  const options = { cudaGraphs: false, workspaceBytes: 0 }
  const session = createResidentSession(env, device, encodeModel(graph, new Map()), [], options)
  const memory = memoryInfo(env.ort, device)
  using scope = new TensorScope(env.ort)
  const bound = inputs.map((value, i) => {
    const piece = heap.allocate(data[i]!.byteLength)
    heap.write(piece, data[i]!)
    return [value.name, scope.wrap(memory, value.dtype, shapeOf(value), piece)] as const
  })
  const found = new Float32Array(byteLength('float32', shapeOf(output)) / 4)
  const piece = heap.allocate(found.byteLength)
  const target = scope.wrap(memory, 'float32', shapeOf(output), piece)
  runBound(env.ort, session, env.ort.create('CreateRunOptions'), bound, [[output.name, target]])
  heap.read(piece, new Uint8Array(found.buffer))
  return found
}

describe("the library's quantized mixture of experts", ON_WEBGPU, () => {
  it('is wrong on WebGPU, which is why it is refused there', PATIENTLY, async () => {
    const { config } = await loadFixture('mixtral')
    const target = { device: 'cpu', dtype: 'float32', quant: 'int8' } as const
    const node = buildBlockGraph(config, target, 0).nodes.find(({ op }) => op === 'QMoE')!
    const mixture = alone(node)
    const random = seededRandom(3)
    const data = mixture.inputs.map(({ dtype, shape }) => {
      const bytes = new Uint8Array(byteLength(dtype, shape.map(Number)))
      if (dtype === 'uint8') return bytes.map(() => Math.floor(256 * random()))
      new Float32Array(bytes.buffer).forEach((_, i, all) => (all[i] = (random() - 0.5) / (shape.length > 2 ? 50 : 1)))
      return bytes
    })
    const [right, found] = [run(CPU, mixture, data), run(WEBGPU, mixture, data)]
    const largest = right.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    const error = right.reduce((worst, value, i) => Math.max(worst, Math.abs(value - found[i]!)), 0)
    assert.ok(
      largest > 0 && error > 0.01 * largest,
      `it is right now, to ${error} of ${largest}: let mixtures be served`,
    )
  })
})
