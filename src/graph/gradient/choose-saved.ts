import type { Node, Value } from '../value.ts'
import { minCut } from './min-cut.ts'
import { savedBytes, sizeNames } from './saved-bytes.ts'

/** Operators whose results are not computed a second time. */
const COSTLY: ReadonlySet<string> = new Set(['/MatMul', 'com.microsoft/FusedMatMul', '/TopK'])

/**
 * The sizes of axes of which only the names are known, when values are compared by their bytes: of those that inputs
 * have, and of others, e.g. the tokens of one expert, which nobody knows beforehand. Such values are saved only where
 * nothing else will do.
 */
const TYPICAL_SIZE = 256
const UNKNOWN_SIZE = 2 ** 40

/** How much dearer a value is that the forward pass would compute only to save it. */
const EXTRA_WORK = 1.01

/** What a choice of values to save depends on. */
export interface SavedChoice {
  /** The node of each value that is computed. */
  readonly producers: ReadonlyMap<Value, Node>
  /** What depends on the gradient that is given, and can only be computed by the backward pass. */
  readonly late: ReadonlySet<Value>
  /** What the backward pass yields. */
  readonly wanted: readonly Value[]
  /** What the forward pass yields. */
  readonly yielded: readonly Value[]
  /** What is there in both passes. */
  readonly inputs: readonly Value[]
}

/**
 * The values that the forward pass saves for the backward pass, which computes again what else it needs. The rule: of
 * all sets of values from which the rest can be computed without repeating a costly node (a product of matrices, a
 * choice of the largest), the one of fewest bytes is saved. Inputs, parameters and constants cost nothing. So results
 * of linear layers, or what is made of them, are saved; norms, activations, rotations and masks are computed again. A
 * value with one symbolic size on two axes, like attention's scores [rows, heads, tokens, tokens], is never saved,
 * since such values would soon outgrow all others: the product that makes it is repeated, as by Dao et al.,
 * "FlashAttention".
 *
 * The set is a minimal cut between the results of costly nodes and what the backward pass needs.
 */
export function chooseSaved({ producers, late, wanted, yielded, inputs }: SavedChoice): Value[] {
  const isEarly = (value: Value) => producers.has(value) && !late.has(value)
  const lateNodes = nodesFor(producers, wanted).filter(({ outputs }) => late.has(outputs[0]!))
  const demands = new Set([...lateNodes.flatMap(inputsOf), ...wanted].filter(isEarly))
  const early = nodesFor(producers, [...demands])
  const values = early.flatMap(({ outputs }) => outputs)
  const places = new Map(values.map((value, place) => [value, place]))
  const arcs: [number, number][] = []
  const sources: number[] = []
  for (const node of early) {
    const isCostly = COSTLY.has(`${node.domain}/${node.op}`) && node.outputs.every(isSavable)
    for (const output of node.outputs) {
      const to = places.get(output)!
      if (isCostly) sources.push(to)
      else for (const input of inputsOf(node).filter(isEarly)) arcs.push([places.get(input)!, to])
    }
  }
  const givenSizes = new Set(inputs.flatMap(({ shape }) => sizeNames(shape)))
  const forward = new Set(nodesFor(producers, yielded).flatMap(({ outputs }) => outputs))
  const costs = values.map((value) => {
    if (!isSavable(value)) return Infinity
    // An output is there anyway; what forward would compute for backward alone takes time.
    if (yielded.includes(value)) return 1
    return savedBytes([value], typicalSizes(value, givenSizes)) * (forward.has(value) ? 1 : EXTRA_WORK)
  })
  const cut = minCut({ costs, arcs, sources, sinks: [...demands].map((value) => places.get(value)!) })
  // Never empty-handed: a costly node's results can be saved, or it may be repeated.
  return cut!.map((place) => values[place]!)
}

/** Whether a value grows no faster than any of the sizes that are known only when the graph runs. */
function isSavable({ shape }: Value): boolean {
  const names = sizeNames(shape)
  return new Set(names).size === names.length
}

function typicalSizes({ shape }: Value, givenSizes: ReadonlySet<string>): Record<string, number> {
  const sizeOf = (name: string) => (givenSizes.has(name) ? TYPICAL_SIZE : UNKNOWN_SIZE)
  return Object.fromEntries(sizeNames(shape).map((name) => [name, sizeOf(name)]))
}

/** The nodes that compute `wanted` from `known`, inputs and weights, each as late as it can be. */
export function nodesFor(
  producers: ReadonlyMap<Value, Node>,
  wanted: readonly Value[],
  known: ReadonlySet<Value> = new Set(),
): Node[] {
  const nodes = new Set<Node>()
  const visit = (value: Value): void => {
    const node = known.has(value) ? undefined : producers.get(value)
    if (node === undefined || nodes.has(node)) return
    inputsOf(node).forEach(visit)
    nodes.add(node)
  }
  wanted.forEach(visit)
  return [...nodes]
}

/** A node's inputs, without those that are left out. */
export function inputsOf({ inputs }: Node): Value[] {
  return inputs.filter((input) => input !== undefined)
}
