import ort from 'onnxruntime-node'
import type { ModelConfig } from '../../src/checkpoint/config/config.ts'
import { buildLossGraph } from '../../src/families/graphs/loss-graph.ts'
import { ropeInputs } from '../../src/families/graphs/input-names.ts'
import { ropeAngles } from '../../src/families/parts/rope.ts'
import type { TrainingGraphs } from '../../src/families/graphs/training-graphs.ts'
import { HIDDEN_GRADIENT, OUTPUT_GRADIENT } from '../../src/graph/gradient-names.ts'
import { createSession, type Fixture, floats, type Tensors } from './support.ts'

export type Feeds = Record<string, ort.Tensor>

/** Both passes of one block. */
export class TrainingBlock {
  readonly #forward: ort.InferenceSession
  readonly #backward: ort.InferenceSession
  readonly #config: ModelConfig
  #inputs: Feeds = {}

  constructor(forward: ort.InferenceSession, backward: ort.InferenceSession, config: ModelConfig) {
    this.#forward = forward
    this.#backward = backward
    this.#config = config
  }

  static async create(
    config: ModelConfig,
    { forward, backward }: TrainingGraphs,
    weights: Tensors,
  ): Promise<TrainingBlock> {
    return new TrainingBlock(await createSession(forward, weights), await createSession(backward, weights), config)
  }

  /**
   * The output for hidden [rows, tokens, hidden], which `backward` then belongs to; `feeds` are the adapter's matrices.
   */
  async forward(hidden: Float32Array, rows: number, feeds: Feeds = {}): Promise<Float32Array> {
    const tokens = hidden.length / rows / this.#config.hiddenSize
    const inputs = { hidden: this.#tensor(hidden, rows), ...angles(this.#config, tokens), ...feeds }
    const found = await this.#forward.run(wantedBy(this.#forward, inputs))
    this.#inputs = { ...inputs, ...found }
    return found['output']!.data as Float32Array
  }

  /** The gradients for one of the last output. */
  async backward(gradient: Float32Array, rows: number): Promise<Record<string, Float32Array>> {
    const inputs = { ...this.#inputs, [OUTPUT_GRADIENT]: this.#tensor(gradient, rows) }
    const found = await this.#backward.run(wantedBy(this.#backward, inputs))
    return Object.fromEntries(Object.entries(found).map(([name, { data }]) => [name, data as Float32Array]))
  }

  /** That with respect to the block's input. */
  async hiddenGradient(gradient: Float32Array, rows: number): Promise<Float32Array> {
    return (await this.backward(gradient, rows))[HIDDEN_GRADIENT]!
  }

  #tensor(values: Float32Array, rows: number): ort.Tensor {
    const { hiddenSize } = this.#config
    return new ort.Tensor('float32', values, [rows, values.length / rows / hiddenSize, hiddenSize])
  }
}

/** Of what there is, what a session takes. */
export function wantedBy(session: ort.InferenceSession, feeds: Feeds): Feeds {
  return Object.fromEntries(session.inputNames.map((name) => [name, feeds[name]!]))
}

/** The rotary tables of the first positions, by their names as inputs. */
export function angles({ ropes }: ModelConfig, positions: number): Feeds {
  const tables = ropes.flatMap((rope, i) => {
    const { cos, sin, halfDim } = ropeAngles(rope, { maxLength: positions, positions })
    const names = ropeInputs(i)
    const tensor = (data: Float32Array) => new ort.Tensor('float32', data, [positions, halfDim])
    return [
      [names.cos, tensor(cos)],
      [names.sin, tensor(sin)],
    ] as const
  })
  return Object.fromEntries(tables)
}

export interface LossFeeds extends Record<string, ort.Tensor> {
  readonly hidden: ort.Tensor
  readonly targets: ort.Tensor
  readonly weights: ort.Tensor
}

/** What a loss over all tokens but the first of each row takes, as transformers has it. */
export function lossFeeds(
  { config, golden }: Fixture,
  hidden = floats(golden, `block${config.numBlocks - 1}_output`),
): LossFeeds {
  const ids = golden.get('input_ids')!
  const [rows = 0, length = 0] = ids.shape
  const all = new BigInt64Array(ids.data.buffer, ids.data.byteOffset, rows * length)
  const isLast = (i: number) => i % length === length - 1
  const targets = BigInt64Array.from(all, (_, i) => (isLast(i) ? 0n : all[i + 1]!))
  const weights = Float32Array.from(all, (_, i) => (isLast(i) ? 0 : 1 / (rows * (length - 1))))
  return {
    hidden: new ort.Tensor('float32', hidden, [rows * length, config.hiddenSize]),
    targets: new ort.Tensor('int64', targets, [rows * length]),
    weights: new ort.Tensor('float32', weights, [rows * length]),
  }
}

/** The mean loss over those tokens for what the last block yields, and its gradient. */
export async function lossOf(
  fixture: Fixture,
  hidden: Float32Array,
): Promise<{ readonly loss: number; readonly gradient: Float32Array }> {
  const session = await createSession(buildLossGraph(fixture.config), fixture.weights)
  const feeds = lossFeeds(fixture, hidden)
  const found = await session.run(feeds)
  const weights = feeds.weights.data as Float32Array
  const loss = (found['losses']!.data as Float32Array).reduce((sum, each, i) => sum + each * weights[i]!, 0)
  return { loss, gradient: found[HIDDEN_GRADIENT]!.data as Float32Array }
}
