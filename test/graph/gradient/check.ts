import assert from 'node:assert/strict'
import ort from 'onnxruntime-node'
import { Graph } from '../../../src/graph/builder.ts'
import { encodeModel, type FinishedGraph } from '../../../src/graph/encode.ts'
import { addGradients } from '../../../src/graph/gradient/add-gradients.ts'
import { describe, type Value } from '../../../src/graph/value.ts'
import type { DType } from '../../../src/tensor/dtype.ts'
import { randomFloats } from '../support.ts'
import { type Doubles, doubles } from './doubles.ts'
import { evaluate } from './evaluate.ts'

/** An input of a graph under test: its shape when it runs, with names in brackets where the graph has only a name. */
export interface Given {
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly (number | string)[]
  readonly values: Doubles
}

/** Makes the inputs of a graph under test. */
export class Inputs {
  readonly graph: Graph
  readonly all: Given[] = []
  readonly #sizes: Readonly<Record<string, number>>
  #seed: number

  constructor(graph: Graph, sizes: Readonly<Record<string, number>>, seed: number) {
    this.graph = graph
    this.#sizes = sizes
    this.#seed = seed
  }

  /** Random floats in [least, most), a gradient with respect to which is checked. */
  float(shape: readonly (number | string)[], [least, most]: readonly [number, number] = [-1, 1]): Value {
    const random = randomFloats(this.#seed++, this.#count(shape))
    return this.#add('float32', shape, (i) => Math.fround(least + ((random[i]! + 1) / 2) * (most - least)))
  }

  /** Whole numbers. */
  ints(shape: readonly (number | string)[], values: readonly number[]): Value {
    return this.#add('int64', shape, (i) => values[i]!)
  }

  bools(shape: readonly (number | string)[], values: readonly boolean[]): Value {
    return this.#add('bool', shape, (i) => Number(values[i]))
  }

  #add(dtype: DType, shape: readonly (number | string)[], of: (i: number) => number): Value {
    const name = `x${this.all.length}`
    this.all.push({ name, dtype, shape, values: doubles(this.#concrete(shape), of) })
    return this.graph.input(name, dtype, shape)
  }

  #concrete(shape: readonly (number | string)[]): number[] {
    return shape.map((dim) => (typeof dim === 'number' ? dim : this.#sizes[dim]!))
  }

  #count(shape: readonly (number | string)[]): number {
    return this.#concrete(shape).reduce((a, b) => a * b, 1)
  }
}

export interface Case {
  /** Builds what is differentiated. Its float inputs, or what it says, is what it is differentiated by. */
  readonly build: (inputs: Inputs) => Value | { readonly of: Value; readonly wrt: readonly Value[] }
  /** Sizes of axes that only have names. */
  readonly sizes?: Readonly<Record<string, number>>
  readonly seed?: number
  /** How far the runtime may be from float64, relative to the largest element. */
  readonly runtimeError?: number | undefined
}

/**
 * Checks each gradient of a graph: computed in float64 against central differences of the graph itself, and computed by
 * the runtime in float32 against float64.
 */
export async function checkGradients({ build, sizes = {}, seed = 1, runtimeError = 1e-5 }: Case): Promise<void> {
  const g = new Graph('test')
  const inputs = new Inputs(g, sizes, seed)
  const built = build(inputs)
  const floats = () => inputs.all.filter(({ dtype }) => dtype === 'float32').map(({ name }) => valueNamed(g, name))
  const { of, wrt } = 'of' in built ? built : { of: built, wrt: floats() }
  const forward = { nodes: [...g.nodes], constants: [...g.constants] }
  const values = new Map(inputs.all.map((input) => [input.name, input.values]))
  const result = evaluate(forward, values)(of)
  const given = g.input('given', 'float32', of.shape)
  const seedValues = randomFloats(seed + 1000, result.data.length)
  values.set(
    given.name,
    doubles(result.shape, (i) => seedValues[i]!),
  )

  const gradients = addGradients(g, { of, given, wrt })
  const exact = evaluate(g, values)
  for (const value of wrt) {
    const gradient = gradients.get(value)
    assert.ok(gradient !== undefined, `no gradient of ${value.name}`)
    assert.equal(describe(gradient), describe(value))
    const wanted = differences(forward, values, of, value)
    assertClose(exact(gradient).data, wanted.data, 1e-6, `gradient of ${value.name}`)
  }
  const outputs = new Map(wrt.map((value, i) => [`gradient${i}`, gradients.get(value)!]))
  const found = await runOnRuntime(withOutputs(g, outputs), values)
  for (const [name, value] of outputs)
    assertClose(found.get(name)!.data, exact(value).data, runtimeError, `${name} on the runtime`)
}

/** d sum(given * of) / d each element of a value, by central differences. */
function differences(
  graph: Pick<FinishedGraph, 'nodes' | 'constants'>,
  values: ReadonlyMap<string, Doubles>,
  of: Value,
  by: Value,
): Doubles {
  const given = values.get('given')!
  const step = 1e-5
  const at = evaluate(graph, values)(by)
  // What computes `by` is left out: its value is given.
  const nodes = graph.nodes.filter(({ outputs }) => !outputs.includes(by))
  const lossAt = (index: number, change: number): number => {
    const moved = { shape: at.shape, data: at.data.with(index, at.data[index]! + change) }
    const { data } = evaluate({ ...graph, nodes }, new Map([...values, [by.name, moved]]))(of)
    return data.reduce((total, value, i) => total + value * given.data[i]!, 0)
  }
  return doubles(at.shape, (i) => (lossAt(i, step) - lossAt(i, -step)) / (2 * step))
}

/** The largest difference must be a small part of the largest wanted number (or of 1, where all are smaller). */
export function assertClose(
  found: ArrayLike<number>,
  wanted: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  assert.equal(found.length, wanted.length, what)
  const scale = Array.from(wanted).reduce((most, value) => Math.max(most, Math.abs(value)), 1)
  for (let i = 0; i < wanted.length; i++) {
    const error = Math.abs(found[i]! - wanted[i]!)
    assert.ok(error <= tolerance * scale, `${what}: element ${i} is ${found[i]}, not ${wanted[i]}`)
  }
}

/** A graph with these outputs; inputs that are outputs, and values with several names, are copied. */
export function withOutputs(g: Graph, outputs: ReadonlyMap<string, Value>): FinishedGraph {
  for (const [name, value] of outputs)
    g.output(name, g.node({ op: 'Identity', name: `${name}.copy`, inputs: [value], outputs: [value] })[0]!)
  return g
}

/** Runs a graph in its own dtypes. */
export async function runOnRuntime(
  graph: FinishedGraph,
  values: ReadonlyMap<string, Doubles>,
): Promise<ReadonlyMap<string, Doubles>> {
  const model = encodeModel(graph, new Map())
  const session = await ort.InferenceSession.create(model, { graphOptimizationLevel: 'basic', intraOpNumThreads: 2 })
  try {
    const feeds = graph.inputs.map((input) => [input.name, toOrt(input.dtype, values.get(input.name)!)] as const)
    const results = await session.run(Object.fromEntries(feeds))
    return new Map(Object.entries(results).map(([name, { dims, data }]) => [name, fromOrt(dims, data)]))
  } finally {
    await session.release()
  }
}

function toOrt(dtype: DType, { shape, data }: Doubles): ort.Tensor {
  if (dtype === 'int64') return new ort.Tensor('int64', BigInt64Array.from(data, BigInt), shape)
  if (dtype === 'bool') return new ort.Tensor('bool', Uint8Array.from(data), shape)
  return new ort.Tensor('float32', Float32Array.from(data), shape)
}

function fromOrt(shape: readonly number[], data: ort.Tensor['data']): Doubles {
  return { shape, data: Float64Array.from(data as ArrayLike<number | bigint>, Number) }
}

function valueNamed(g: Graph, name: string): Value {
  return g.inputs.find((input) => input.name === name)!
}
