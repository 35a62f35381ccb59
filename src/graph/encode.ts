import type { Tensor } from '../tensor/tensor.ts'
import type { Graph } from './builder.ts'
import { GraphError } from './errors.ts'
import { ONNX_DTYPES } from './onnx-dtypes.ts'
import { ModelProto } from './onnx-schema.ts'
import type { Parameter } from './parameter.ts'
import { type Attribute, describe, type Node, type Shape, type Value, type ValueType } from './value.ts'

const IR_VERSION = 10
const OPSETS = [
  { domain: '', version: 21 },
  { domain: 'com.microsoft', version: 1 },
]

/** AttributeProto.AttributeType */
const ATTRIBUTE_TYPES: Record<Attribute['type'], number> = { float: 1, int: 2, string: 3, ints: 7 }

/** TensorProto.DataLocation */
const EXTERNAL = 1

/**
 * Where an external parameter's bytes are said to lie. onnxruntime only checks that the path exists and never reads it:
 * the bytes are given by `AddInitializer`.
 */
const EXTERNAL_DATA = [{ key: 'location', value: '.' }]

/** A graph that is only read. */
export type FinishedGraph = Pick<Graph, 'name' | 'inputs' | 'outputs' | 'parameters' | 'constants' | 'nodes'>

/**
 * Encodes a graph as ONNX ModelProto bytes. `inline` holds the tensors of its inline parameters by name; external
 * parameters are written without bytes, and the session is given their tensors in memory. Throws `GRAPH_PARAMETER` if
 * an inline tensor is missing or has another dtype or shape.
 */
export function encodeModel(graph: FinishedGraph, inline: ReadonlyMap<string, Tensor>): Uint8Array {
  return encode(
    graph,
    graph.inputs,
    graph.parameters.map((parameter) => encodeParameter(graph, parameter, inline)),
  )
}

/**
 * As `encodeModel`, but all parameters are inputs of the model, after the graph's own: a session holds no weights, runs
 * any block of its kind, and is lent the weights of each run.
 */
export function encodeWithoutWeights(graph: FinishedGraph): Uint8Array {
  return encode(graph, [...graph.inputs, ...graph.parameters], [])
}

function encode(
  graph: FinishedGraph,
  inputs: readonly (ValueType & { readonly name: string })[],
  parameters: readonly object[],
): Uint8Array {
  const outputNames = new Map(graph.outputs.map(({ name, value }) => [value, name]))
  const nameOf = (value: Value | undefined) => (value === undefined ? '' : (outputNames.get(value) ?? value.name))
  return ModelProto.encode({
    ir_version: IR_VERSION,
    producer_name: 'petals-node',
    opset_import: OPSETS,
    graph: {
      name: graph.name,
      node: graph.nodes.map((node) => encodeNode(node, nameOf)),
      initializer: [...graph.constants.map(({ value, tensor }) => encodeTensor(value.name, tensor)), ...parameters],
      input: inputs.map((input) => encodeValueInfo(input.name, input)),
      output: graph.outputs.map(({ name, value }) => encodeValueInfo(name, value)),
    },
  }).finish()
}

function encodeNode(node: Node, nameOf: (value: Value | undefined) => string): object {
  return {
    name: node.name,
    op_type: node.op,
    domain: node.domain,
    input: node.inputs.map(nameOf),
    output: node.outputs.map(nameOf),
    attribute: Object.entries(node.attributes).map(([name, attribute]) => encodeAttribute(name, attribute)),
  }
}

function encodeAttribute(name: string, attribute: Attribute): object {
  const header = { name, type: ATTRIBUTE_TYPES[attribute.type] }
  switch (attribute.type) {
    case 'int':
      return { ...header, i: attribute.value }
    case 'ints':
      return { ...header, ints: attribute.value }
    case 'float':
      return { ...header, f: attribute.value }
    case 'string':
      return { ...header, s: Buffer.from(attribute.value) }
  }
}

function encodeParameter(graph: FinishedGraph, parameter: Parameter, inline: ReadonlyMap<string, Tensor>): object {
  const { name, dtype, shape, placement } = parameter
  if (placement === 'external') {
    return { name, dims: shape, data_type: ONNX_DTYPES[dtype], data_location: EXTERNAL, external_data: EXTERNAL_DATA }
  }
  const tensor = inline.get(name)
  const found = tensor === undefined ? 'none' : describe(tensor)
  if (tensor === undefined || found !== describe(parameter)) {
    throw new GraphError(
      'GRAPH_PARAMETER',
      `graph ${graph.name}`,
      `parameter ${name} needs ${describe(parameter)}, but was given ${found}`,
    )
  }
  return encodeTensor(name, tensor)
}

function encodeTensor(name: string, { dtype, shape, data }: Tensor): object {
  return { name, dims: shape, data_type: ONNX_DTYPES[dtype], raw_data: data }
}

function encodeValueInfo(name: string, { dtype, shape }: ValueType): object {
  return { name, type: { tensor_type: { elem_type: ONNX_DTYPES[dtype], shape: encodeShape(shape) } } }
}

function encodeShape(shape: Shape): object {
  return { dim: shape.map((dim) => (typeof dim === 'number' ? { dim_value: dim } : { dim_param: dim })) }
}
