import { buildBlockGraph } from '../../src/families/graphs/graphs.ts'
import type { Graph } from '../../src/graph/builder.ts'
import type { FinishedGraph } from '../../src/graph/encode.ts'
import type { Node, Value } from '../../src/graph/value.ts'
import { fromFloat32 } from '../../src/tensor/tensor.ts'
import { BlockRunner, CPU, type Fixture, blockWeights, createSession } from '../../test/families/support.ts'

/** What float32 gives for a block's input. */
export interface InFloat32 {
  /** [sequences, tokens, hidden] */
  readonly output: Float32Array
  /** Of each position; undefined in a block without experts. */
  readonly choices: readonly Choice[] | undefined
}

/** Which experts compute a position. */
export interface Choice {
  /** The numbers of the chosen ones, as a text. */
  readonly chosen: string
  /** The least good of the chosen experts, and the best of the others. */
  readonly last: number
  readonly next: number
  /** By how much their scores differ, as a share of the largest score. */
  readonly gap: number
  /** Half of the same, as the router scores: with so much more for `next` and less for `last` they are equal. */
  readonly half: number
}

/** Scores of experts that cannot be chosen are below. */
const POSSIBLE = -1e29

/** One block of a fixture on the CPU, whose choice of experts is seen, and can be changed. */
export class BlockInFloat32 {
  readonly #fixture: Fixture
  readonly #block: number
  readonly #mixture: Node | undefined
  readonly #graph: FinishedGraph
  readonly #router: Value | undefined

  constructor(fixture: Fixture, block: number) {
    this.#fixture = fixture
    this.#block = block
    const graph = buildBlockGraph(fixture.config, CPU, block)
    this.#mixture = graph.nodes.find(isMixture)
    if (this.#mixture === undefined) {
      this.#graph = graph
      return
    }
    graph.output('expert_scores', this.#mixture.inputs[1]!)
    this.#router = routerOf(graph, this.#mixture)
    this.#graph = withNudge(graph, this.#router)
  }

  /** At the positions of `swapped`, `next` is chosen instead of `last`. */
  async run(hidden: Float32Array, swapped: ReadonlyMap<number, Choice> = new Map()): Promise<InFloat32> {
    const { config, weights, golden } = this.#fixture
    const [rows = 0, tokens = 0] = golden.get('block0_input')!.shape
    const session = await createSession(this.#graph, blockWeights(weights, this.#block))
    const options = { block: this.#block, rows, capacity: 64, maxLength: tokens }
    const runner = new BlockRunner(session, config, options)
    if (this.#mixture === undefined) {
      const { output } = await runner.run(hidden, tokens)
      return { output: output!, choices: undefined }
    }
    const experts = Number(this.#router!.shape.at(-1))
    const nudge = new Float32Array(rows * tokens * experts)
    for (const [i, { last, next, half }] of swapped) {
      // A little more than half of the difference each: the shares of all experts stay what they were.
      nudge[i * experts + last] = -1.01 * half
      nudge[i * experts + next] = 1.01 * half
    }
    const more = new Map([['router_nudge', fromFloat32(nudge, [rows, tokens, experts])]])
    const { output, expert_scores: scores } = await runner.run(hidden, tokens, more)
    const ofOperator = scores!.length / (rows * tokens)
    const k = (Number(this.#mixture.attributes['k']!.value) * experts) / ofOperator
    const choices = Array.from({ length: rows * tokens }, (_, i) =>
      // The operator may see each expert several times, as its slices.
      choiceOf(scores!.subarray(i * ofOperator, i * ofOperator + experts), k),
    )
    return { output: output!, choices }
  }
}

/** Whether a node of a CPU's graph computes a mixture of experts. */
export function isMixture({ op }: Node): boolean {
  return op === 'MoE' || op === 'QMoE'
}

/** The operator takes the `k` largest of a position's scores. */
function choiceOf(scores: Float32Array, k: number): Choice {
  const order = [...scores.keys()].sort((a, b) => scores[b]! - scores[a]!)
  const [last, next] = [order[k - 1]!, order[k] ?? order[k - 1]!]
  const difference = next === last ? Infinity : scores[last]! - scores[next]!
  const largest = scores.reduce((most, score) => (score > POSSIBLE ? Math.max(most, Math.abs(score)) : most), 0)
  const chosen = order.slice(0, k).sort((a, b) => a - b)
  return { chosen: chosen.join(' '), last, next, gap: difference / largest, half: difference / 2 }
}

/** The product with the router's matrix, from which a mixture's scores are made. */
function routerOf({ nodes }: Graph, mixture: Node): Value {
  const sources = [mixture.inputs[1]!]
  for (const value of sources) {
    const node = nodes.find(({ outputs }) => outputs.includes(value))
    if (node === undefined) continue
    if (node.op === 'FusedMatMul' || node.op === 'MatMul') return value
    sources.push(...node.inputs.filter((input) => input !== undefined))
  }
  throw new Error('the scores of experts are not made by a product')
}

/** The graph with an input `router_nudge`, which is added to the router's scores. */
function withNudge(graph: Graph, router: Value): FinishedGraph {
  const nudge = { ...router, name: 'router_nudge' }
  const nudged = { ...router, name: 'nudged_scores' }
  const add: Node = {
    name: nudged.name,
    op: 'Add',
    domain: '',
    inputs: [router, nudge],
    outputs: [nudged],
    attributes: {},
  }
  const nodes = graph.nodes.flatMap((node) => {
    const inputs = node.inputs.map((input) => (input === router ? nudged : input))
    return node.outputs.includes(router) ? [{ ...node, inputs }, add] : [{ ...node, inputs }]
  })
  const { name, outputs, constants, parameters } = graph
  return { name, outputs, constants, parameters, nodes, inputs: [...graph.inputs, nudge] }
}
