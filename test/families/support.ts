import { assemble, assembleCodes, assembleScales } from '../../src/engine/loading/assemble.ts'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ort from 'onnxruntime-node'
import { type ModelConfig, parseConfig } from '../../src/checkpoint/config/config.ts'
import { bareName } from '../../src/checkpoint/weights/names.ts'
import type { Float8Quant } from '../../src/checkpoint/config/stored-quant.ts'
import { widenFloat8 } from '../../src/checkpoint/weights/unpack.ts'
import { storedModule, type StoredModule } from '../../src/graph/parameter.ts'
import { readSafetensorsHeader } from '../../src/checkpoint/weights/safetensors.ts'
import { buildBlockGraph, cacheShape } from '../../src/families/graphs/graphs.ts'
import { ropeInputs } from '../../src/families/graphs/input-names.ts'
import { ropeAngles } from '../../src/families/parts/rope.ts'
import { encodeModel, type FinishedGraph } from '../../src/graph/encode.ts'
import type { Target } from '../../src/graph/lowering.ts'
import type { DType } from '../../src/tensor/dtype.ts'
import { asFloat32, fromFloat32, type Tensor } from '../../src/tensor/tensor.ts'

export const CPU: Target = { device: 'cpu', dtype: 'float32' }

/** Its graphs are of ONNX's own operators: a CPU runs them as well. */
export const CUDA_FLOAT32: Target = { device: 'cuda', dtype: 'float32' }
export const WEBGPU_FLOAT32: Target = { device: 'webgpu', dtype: 'float32' }

/** How many weights of MXFP4 share a scale. */
const BLOCK = 32

export type Tensors = ReadonlyMap<string, Tensor>

export interface Fixture {
  readonly config: ModelConfig
  readonly weights: Tensors
  readonly golden: Tensors
}

const FOLDER = join(import.meta.dirname, '..', 'fixtures')

/** The folders of checkpoints with what transformers makes of them. */
export const FIXTURES: readonly string[] = readdirSync(FOLDER).filter((name) =>
  existsSync(join(FOLDER, name, 'golden.safetensors')),
)

/** What transformers gave to a block. */
export function blockInput({ golden }: Fixture, block: number): Float32Array {
  return floats(golden, block === 0 ? 'block0_input' : `block${block - 1}_output`)
}

export async function loadFixture(name: string): Promise<Fixture> {
  const folder = join(FOLDER, name)
  return {
    config: parseConfig(JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')), 'config.json'),
    weights: await readTensors(join(folder, 'model.safetensors')),
    golden: await readTensors(join(folder, 'golden.safetensors')),
  }
}

export async function readTensors(file: string): Promise<Tensors> {
  const bytes = readFileSync(file)
  const slices = await readSafetensorsHeader(file)
  return new Map(
    slices.map(({ name, dtype, shape, offset, byteLength }) => [
      name,
      { dtype: dtype as DType, shape, data: new Uint8Array(bytes.subarray(offset, offset + byteLength)) },
    ]),
  )
}

export function floats(tensors: Tensors, name: string): Float32Array {
  const found = tensors.get(name)
  if (found === undefined) throw new Error(`no tensor ${name}`)
  return asFloat32(found)
}

/** All parameters written into the model, so that the session needs nothing else. */
export function createSession(graph: FinishedGraph, parameters: Tensors): Promise<ort.InferenceSession> {
  const inlined = {
    ...copyOf(graph),
    parameters: graph.parameters.map((p) => ({ ...p, placement: 'inline' as const })),
  }
  return ort.InferenceSession.create(encodeModel(inlined, named(graph, parameters)), {
    graphOptimizationLevel: 'basic',
    intraOpNumThreads: 1,
  })
}

/** By the names that the graph has, whatever classes around the model put before the stored ones. */
function named({ parameters }: FinishedGraph, stored: Tensors): Tensors {
  const byBareName = new Map([...stored].map(([name, value]) => [bareName(name), value]))
  return new Map(
    parameters.flatMap((parameter) => {
      const value = valueOf(parameter, stored) ?? byBareName.get(bareName(parameter.name))
      return value === undefined ? [] : [[parameter.name, value] as const]
    }),
  )
}

/** What is made of other tensors than the one of its name. */
function valueOf({ shape, source }: FinishedGraph['parameters'][number], stored: Tensors): Tensor | undefined {
  const bytes = (name: string) => new Uint8Array(stored.get(name)!.data)
  const widened = (quant: Float8Quant, { name, shape: of }: StoredModule) =>
    widenFloat8(quant, of, {
      bytes: (piece) => bytes(`${name}.${piece}`),
      floats: (piece) => floats(stored, `${name}.${piece}`),
    })
  switch (source.kind) {
    case 'assembled': {
      const { quant } = source
      return assemble(shape, source.parts, 'float32', (part) =>
        quant === undefined ? bytes(part.name) : widened(quant, storedModule(part)).data,
      )
    }
    case 'widened':
      return widened(source.quant, source.module)
    case 'microscaled': {
      const { name } = source.stored
      const codes = () => assembleCodes(shape, source.stored, bytes(`${name}_blocks`))
      if (source.part === 'codes') return { dtype: 'uint8', shape, data: codes() }
      const perScale = source.part === 'values' ? BLOCK : 1
      const blocks = [...shape.slice(0, -1), shape.at(-1)! / perScale]
      const scales = assembleScales(blocks, source.stored, bytes(`${name}_scales`))
      if (source.part === 'scales') return fromFloat32(scales, shape)
      return fromFloat32(
        Float32Array.from(codes(), (code, i) => (code - 128) * scales[Math.floor(i / BLOCK)]!),
        shape,
      )
    }
    default:
      return undefined
  }
}

function copyOf({ name, inputs, outputs, constants, nodes }: FinishedGraph): Omit<FinishedGraph, 'parameters'> {
  return { name, inputs, outputs, constants, nodes }
}

/** The tensors of one block by their names relative to it. */
export function blockWeights(weights: Tensors, block: number): Tensors {
  const pattern = new RegExp(`^.*?\\b(?:layers|h)\\.${block}\\.`)
  return new Map(
    [...weights].filter(([name]) => pattern.test(name)).map(([name, value]) => [name.replace(pattern, ''), value]),
  )
}

export interface BlockRunnerOptions {
  readonly rows: number
  /** Which one of the model: the first where not given. */
  readonly block?: number
  readonly capacity: number
  /** The session's declared maximum length. */
  readonly maxLength: number
  /** What the graph is lowered for; the CPU runs it in any case. */
  readonly target?: Target
}

/** One block with a KV cache for rows of equal length. */
export class BlockRunner {
  readonly #session: ort.InferenceSession
  readonly #config: ModelConfig
  readonly #options: BlockRunnerOptions
  #pastKey: ort.Tensor
  #pastValue: ort.Tensor
  #length = 0

  constructor(session: ort.InferenceSession, config: ModelConfig, options: BlockRunnerOptions) {
    this.#session = session
    this.#config = config
    this.#options = options
    const { kvHeads, headDim } = cacheShape(config, options.target ?? CPU)
    const shape = [options.rows, kvHeads, options.capacity, headDim]
    // What lies beyond the filled part must not matter.
    const garbage = () =>
      new ort.Tensor('float32', new Float32Array(shape.reduce((a, b) => a * b)).fill(Number.NaN), shape)
    this.#pastKey = garbage()
    this.#pastValue = garbage()
  }

  static async create(config: ModelConfig, weights: Tensors, options: BlockRunnerOptions): Promise<BlockRunner> {
    return new BlockRunner(
      await createSession(buildBlockGraph(config, options.target ?? CPU, options.block ?? 0), weights),
      config,
      options,
    )
  }

  /** hidden [rows, tokens, hiddenSize] at the positions after those of earlier steps; gives the block's output. */
  async step(hidden: Float32Array, tokens: number): Promise<Float32Array> {
    return (await this.run(hidden, tokens))['output']!
  }

  /** As `step`, with further inputs of the graph; gives all of its outputs in float32, by name. */
  async run(hidden: Float32Array, tokens: number, more: Tensors = new Map()): Promise<Record<string, Float32Array>> {
    const { rows, maxLength, capacity } = this.#options
    const past = this.#length
    this.#length += tokens
    const feeds: Record<string, ort.Tensor> = {
      hidden: new ort.Tensor('float32', hidden, [rows, tokens, this.#config.hiddenSize]),
      past_key: this.#pastKey,
      past_value: this.#pastValue,
      seqlens_k: new ort.Tensor('int32', new Int32Array(rows).fill(this.#length - 1), [rows]),
      total_sequence_length: new ort.Tensor('int32', Int32Array.of(this.#length), [1]),
    }
    for (const [i, rope] of this.#config.ropes.entries()) {
      if (!this.#session.inputNames.includes(ropeInputs(i).cos)) continue
      const { cos, sin, halfDim } = ropeAngles(rope, { maxLength, positions: capacity })
      feeds[ropeInputs(i).cos] = new ort.Tensor('float32', cos, [capacity, halfDim])
      feeds[ropeInputs(i).sin] = new ort.Tensor('float32', sin, [capacity, halfDim])
    }
    if (this.#session.inputNames.includes('position_ids')) {
      const ids = BigInt64Array.from({ length: rows * tokens }, (_, i) => BigInt(past + (i % tokens)))
      feeds['position_ids'] = new ort.Tensor('int64', ids, [rows, tokens])
    }
    if (this.#session.inputNames.includes('slots')) {
      const slots = BigInt64Array.from({ length: capacity }, (_, i) => BigInt(i))
      feeds['slots'] = new ort.Tensor('int64', slots, [capacity])
    }
    for (const [name, tensor] of more) feeds[name] = new ort.Tensor('float32', asFloat32(tensor), tensor.shape)
    const results = await this.#session.run(feeds)
    this.#pastKey = results['present_key'] as ort.Tensor
    this.#pastValue = results['present_value'] as ort.Tensor
    return Object.fromEntries(
      Object.entries(results).map(([name, { data }]) => [name, new Float32Array(data as Float32Array)]),
    )
  }
}

/** The largest difference; Infinity if one is not a number, or there are not as many values. */
export function maxError(actual: Float32Array, expected: Float32Array): number {
  if (actual.length !== expected.length) return Infinity
  let worst = 0
  for (const [i, value] of actual.entries()) {
    const error = Math.abs(value - expected[i]!)
    if (Number.isNaN(error)) return Infinity
    worst = Math.max(worst, error)
  }
  return worst
}
