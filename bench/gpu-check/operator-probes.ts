import { attentionGraph } from '../../src/families/graphs/cache-graphs.ts'
import { Graph } from '../../src/graph/builder.ts'
import type { FinishedGraph } from '../../src/graph/encode.ts'
import { mixtureOfExperts } from '../../src/graph/moe.ts'
import { add, layerNorm, rmsNorm } from '../../src/graph/ops.ts'
import { fuseSkipNorms } from '../../src/graph/skip-norm.ts'
import { type Attribute, int } from '../../src/graph/value.ts'
import { CPU, type Device } from '../../src/runtime/device.ts'
import type { FloatDType } from '../../src/tensor/dtype.ts'
import { QUANT_LAYOUTS, quantizedSizes, quantizeRows } from '../../src/tensor/quantize.ts'
import { type Tensor, fromFloat32 } from '../../src/tensor/tensor.ts'
import { OperatorRun } from './operator.ts'
import { convert } from '../../src/tensor/convert.ts'
import type { Probe } from './probes.ts'

/** Of the largest value. */
const TOLERANCES: Record<FloatDType, number> = { float32: 1e-5, float16: 0.01, bfloat16: 0.05 }

function waves(shape: readonly number[], kind = 1, size = 1): Tensor {
  const count = shape.reduce((product, dim) => product * dim, 1)
  return fromFloat32(
    Float32Array.from({ length: count }, (_, i) => size * Math.sin(i * (0.37 + 0.11 * kind) + kind)),
    shape,
  )
}

function int32(value: number): Tensor {
  return { dtype: 'int32', shape: [1], data: new Uint8Array(Int32Array.of(value).buffer) }
}

function compare(found: Float32Array, expected: Float32Array, dtype: FloatDType): void {
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  const error = found.reduce((worst, value, i) => Math.max(worst, Math.abs(value - expected[i]!)), 0)
  if (!(error <= TOLERANCES[dtype] * largest)) throw new Error(`differs by ${error} of ${largest}`)
}

/** The graph with further attributes of an operator. */
function withAttributes(graph: Graph, op: string, attributes: Record<string, Attribute>): FinishedGraph {
  const { name, inputs, outputs, parameters, constants } = graph
  const nodes = graph.nodes.map((node) =>
    node.op === op ? { ...node, attributes: { ...node.attributes, ...attributes } } : node,
  )
  return { name, inputs, outputs, parameters, constants, nodes }
}

/** Sums and norms, which are one operator in spans, beside the two operators. */
function skipNorms(device: Device, dtype: FloatDType): void {
  const width = 512
  const g = new Graph('norms')
  const hidden = (name: string) => g.input(name, dtype, ['rows', 'tokens', width])
  const vector = (name: string) => g.input(name, dtype, [width])
  const sum = add(g, hidden('x'), hidden('change'), 'sum')
  const normed = rmsNorm(g, sum, vector('weight'), 1e-6, 'rms')
  const again = add(g, normed, sum, 'again')
  g.output('output', layerNorm(g, again, { weight: vector('second'), bias: vector('bias') }, 1e-5, 'layer'))
  const shape = [2, 3, width]
  // Hidden states of real models have values of some hundred.
  const inputs = { x: waves(shape, 1, 300), change: waves(shape, 2, 30) }
  const vectors = { weight: waves([width], 3), second: waves([width], 4), bias: waves([width], 5) }
  const [expected, found] = [g, fuseSkipNorms(g)].map((graph) => {
    using run = new OperatorRun(device, graph)
    return run.run({ ...inputs, ...vectors }, { rows: 2, tokens: 3 })
  })
  compare(found!, expected!, dtype)
}

const HEADS = { numHeads: 4, kvHeads: 2, headDim: 64 }
const WINDOW = 16

/** The library's own cache for windows, of 32 positions, beside one that holds all. */
function slidingWindow(device: Device, dtype: FloatDType): void {
  const heads = { ...HEADS, dtype }
  const graph = attentionGraph(heads, { window: WINDOW, biased: false, sinks: false }, 1 / 8)
  const sliding = withAttributes(graph, 'GroupQueryAttention', { sliding_window_cache: int(1) })
  const places = { present_key: 'past_key', present_value: 'past_value' }
  using whole = new OperatorRun(device, graph, {}, places)
  using windowed = new OperatorRun(device, sliding, {}, places)
  let past = 0
  for (const tokens of [24, 20, ...Array<number>(20).fill(1)]) {
    const part = (name: string, kind: number, count: number) => [
      name,
      waves([1, tokens, count * HEADS.headDim], kind + past),
    ]
    const given = [part('query', 1, HEADS.numHeads), part('key', 2, HEADS.kvHeads), part('value', 3, HEADS.kvHeads)]
    const inputs = { ...Object.fromEntries(given), lengths: int32(past + tokens - 1), total: int32(past + tokens) }
    const expected = whole.run(inputs, { tokens, capacity: 128 })
    compare(windowed.run(inputs, { tokens, capacity: 2 * WINDOW }), expected, dtype)
    past += tokens
  }
}

const EXPERTS = 8
const WIDTH = 256

/** Quantized experts, in the packing of the library's CPU kernel, whose results are right. */
function quantizedExperts(device: Device, dtype: FloatDType, format: 'int4' | 'int8'): void {
  const quant = QUANT_LAYOUTS[format]
  const weights = new Map<string, Tensor>()
  const build = (of: FloatDType): Graph => {
    const g = new Graph('experts')
    const expert = (name: string, out: number, kind: number) => {
      const rows = EXPERTS * out
      const { blocks, codeBytes } = quantizedSizes(format, rows, WIDTH)
      const [codes, scales] = [new Uint8Array(codeBytes), new Float32Array(blocks)]
      const { data } = waves([rows, WIDTH], kind, 0.05)
      quantizeRows(format, new Float32Array(data.buffer), WIDTH, { codes, scales })
      const shapes = { codes: [EXPERTS, out, codeBytes / rows], scales: [EXPERTS, out, blocks / rows] }
      weights.set(`${name}.codes`, { dtype: 'uint8', shape: shapes.codes, data: codes })
      weights.set(`${name}.scales`, fromFloat32(scales, shapes.scales))
      const declare = (part: 'codes' | 'scales', type: 'uint8' | FloatDType) =>
        g.parameter({
          name: `${name}.${part}`,
          dtype: type,
          shape: shapes[part],
          placement: 'external',
          prepacked: false,
          source: { kind: 'stored' },
        })
      const shape: [number, number, number] = [EXPERTS, out, WIDTH]
      return { matrices: declare('codes', 'uint8'), scales: declare('scales', of), shape }
    }
    const [gateUp, down] = [expert('gate_up', 2 * WIDTH, 1), expert('down', WIDTH, 2)]
    const x = g.input('x', of, ['rows', 'tokens', WIDTH])
    const scores = g.input('scores', of, ['rows', 'tokens', EXPERTS])
    const routing = { topK: 2, scores, total: 1 }
    g.output('output', mixtureOfExperts(g, { x, routing, gateUp, down }, { slices: 1, quant }, 'experts'))
    return g
  }
  const inputs = { x: waves([1, 5, WIDTH]), scores: waves([1, 5, EXPERTS], 3, 4) }
  const [expected, found] = (
    [
      [CPU, 'float32'],
      [device, dtype],
    ] as const
  ).map(([where, of]) => {
    const graph = build(of)
    // By default the CUDA kernel takes weights in an order of its own, and says nothing where they are in another.
    const raw = withAttributes(graph, 'QMoE', { weights_prepacked: int(0) })
    const ofDType = Object.fromEntries(
      [...weights].map(([name, tensor]) => [name, tensor.dtype === 'uint8' ? tensor : convert(tensor, of)]),
    )
    using run = new OperatorRun(where, raw, ofDType)
    return run.run(inputs, { rows: 1, tokens: 5 })
  })
  compare(found!, expected!, dtype)
}

/** What the library can do that this project does not use yet, or uses on a device that nobody has run. */
export const OPERATOR_PROBES: readonly Probe[] = [
  {
    name: 'sums and norms as one operator, of large values',
    run: (device, dtype) => Promise.resolve(skipNorms(device, dtype)),
  },
  {
    name: "the library's cache for sliding windows (not used yet)",
    devices: ['cpu', 'cuda'],
    run: (device, dtype) => Promise.resolve(slidingWindow(device, dtype)),
  },
  ...(['int4', 'int8'] as const).map((format) => ({
    name: `experts in ${format} by the library's kernel (not used yet)`,
    devices: ['cpu', 'cuda'] as const,
    run: (device: Device, dtype: FloatDType) => Promise.resolve(quantizedExperts(device, dtype, format)),
  })),
]
