import type { DType } from '../tensor/dtype.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { GraphError } from './errors.ts'
import type { Parameter } from './parameter.ts'
import type { Attribute, Constant, Domain, GraphOutput, Node, Shape, Value, ValueType } from './value.ts'

/** A node to be added. */
export interface NodeSpec {
  readonly op: string
  readonly domain?: Domain
  /** A readable name within the current scope; the operator's name by default. */
  readonly name?: string | undefined
  readonly inputs: readonly (Value | undefined)[]
  readonly outputs: readonly ValueType[]
  readonly attributes?: Readonly<Record<string, Attribute>>
}

/**
 * An ONNX graph under construction: inputs, parameters, constants, nodes in an order in which they can run, and
 * outputs. It checks names only; the functions in `ops.ts` check shapes and dtypes before they add nodes.
 */
export class Graph {
  readonly name: string
  readonly #inputs: Value[] = []
  readonly #outputs: GraphOutput[] = []
  readonly #parameters: Parameter[] = []
  readonly #constants: Constant[] = []
  readonly #nodes: Node[] = []
  readonly #values = new Map<string, Value>()
  readonly #results = new Set<Value>()
  readonly #nodeNames = new Set<string>()
  #scope = ''

  constructor(name: string) {
    this.name = name
  }

  get inputs(): readonly Value[] {
    return this.#inputs
  }
  get outputs(): readonly GraphOutput[] {
    return this.#outputs
  }
  get parameters(): readonly Parameter[] {
    return this.#parameters
  }
  get constants(): readonly Constant[] {
    return this.#constants
  }
  get nodes(): readonly Node[] {
    return this.#nodes
  }

  /** Adds an input. Throws `GRAPH_NAME` if the name is taken. */
  input(name: string, dtype: DType, shape: Shape): Value {
    const value = this.#define({ name, dtype, shape })
    this.#inputs.push(value)
    return value
  }

  /** Adds a parameter. Throws `GRAPH_NAME` if the name is taken. */
  parameter(parameter: Parameter): Value {
    const value = this.#define({ name: parameter.name, dtype: parameter.dtype, shape: parameter.shape })
    this.#parameters.push(parameter)
    return value
  }

  /** Adds a small tensor that is the same for every checkpoint, named within the current scope. */
  constant(name: string, tensor: Tensor): Value {
    const value = this.#define({ name: this.#unique(name), dtype: tensor.dtype, shape: tensor.shape })
    this.#constants.push({ value, tensor })
    return value
  }

  /** Adds a node and returns its results. Throws `GRAPH_VALUE` if an input belongs to another graph. */
  node(spec: NodeSpec): Value[] {
    const name = this.#unique(spec.name ?? spec.op)
    for (const input of spec.inputs) {
      if (input !== undefined && this.#values.get(input.name) !== input) {
        throw new GraphError('GRAPH_VALUE', `node ${name}`, `${input.name} is not a value of graph ${this.name}`)
      }
    }
    const single = spec.outputs.length === 1
    const outputs = spec.outputs.map(({ dtype, shape }, i) =>
      this.#define({ name: single ? name : `${name}:${i}`, dtype, shape }),
    )
    for (const output of outputs) this.#results.add(output)
    this.#nodeNames.add(name)
    this.#nodes.push({
      name,
      op: spec.op,
      domain: spec.domain ?? '',
      inputs: spec.inputs,
      outputs,
      attributes: spec.attributes ?? {},
    })
    return outputs
  }

  /**
   * Makes a node's result an output with this name. Throws `GRAPH_VALUE` for a value that is no node's result, and
   * `GRAPH_NAME` if the name is taken.
   */
  output(name: string, value: Value): void {
    if (!this.#results.has(value) || this.#outputs.some((output) => output.value === value)) {
      throw new GraphError(
        'GRAPH_VALUE',
        `output ${name}`,
        `${value.name} is not the result of a node, or is an output already`,
      )
    }
    if (value.name !== name) this.#define({ ...value, name })
    this.#outputs.push({ name, value })
  }

  /** Runs `build`; the names of the nodes and constants that it adds begin with `name.`. */
  scope<T>(name: string, build: () => T): T {
    const outer = this.#scope
    this.#scope = `${outer}${name}.`
    try {
      return build()
    } finally {
      this.#scope = outer
    }
  }

  /** The full name that a node would get in the current scope, for messages. */
  nodeName(name: string): string {
    return this.#scope + name
  }

  #define(value: Value): Value {
    if (this.#values.has(value.name)) {
      throw new GraphError('GRAPH_NAME', `graph ${this.name}`, `two values are named ${value.name}`)
    }
    this.#values.set(value.name, value)
    return value
  }

  #unique(name: string): string {
    const wanted = this.nodeName(name)
    const taken = (candidate: string) => this.#values.has(candidate) || this.#nodeNames.has(candidate)
    let unique = wanted
    for (let i = 2; taken(unique); i++) unique = `${wanted}_${i}`
    return unique
  }
}
