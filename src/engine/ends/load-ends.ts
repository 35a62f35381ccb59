import { Owned } from '../../base/owned.ts'
import { buildEmbedGraph, buildHeadGraph, buildNormGraph } from '../../families/graphs/graphs.ts'
import type { Graph } from '../../graph/builder.ts'
import { CPU } from '../../runtime/device.ts'
import type { Target } from '../../graph/lowering.ts'
import { type Environment, environmentFor } from '../../runtime/environment.ts'
import type { Session } from '../../runtime/session.ts'
import { openWebGpu } from '../../runtime/webgpu/open.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { loadGraph } from '../loading/load-graph.ts'
import { loadOnDevice as loadWeights, releaseResident } from '../loading/resident.ts'
import { WeightMemory } from '../loading/weight-memory.ts'
import { headTensors } from './head-weights.ts'
import { DeviceEndsRunner, type ResidentEnd } from './device-ends-runner.ts'
import { slicesOf } from './end-slices.ts'
import { CpuEndsRunner, type EndsRunner, type LoadedEnds } from './ends-runner.ts'
import { LossRunner } from './loss-runner.ts'
import type { EndsOptions } from './messages.ts'

/** Both ends of a model, ready to run. */
export interface EndsOnDevice {
  readonly runner: EndsRunner
  /** What only training needs; loads itself when it is used. */
  readonly losses: LossRunner
  /** What other threads can run; none where a device computes. */
  readonly ends: LoadedEnds | undefined
  /** Gives all of it back. */
  close(): void
}

/** Reads and builds both ends where the options say. Throws `CheckpointError`, `FamilyError` and `RuntimeError`. */
export function loadEnds(env: Environment, options: EndsOptions): EndsOnDevice {
  const { kind } = options.device ?? CPU
  return kind === 'cpu' ? loadOnCpu(env, options) : loadOnDevice(env, options, kind)
}

function loadOnCpu(env: Environment, options: EndsOptions): EndsOnDevice {
  const { embed, head, sizes } = endGraphs(options, 'cpu')
  using undo = new Owned()
  const given = givenHead(options)
  const load = (graph: Graph, values?: ReadonlyMap<string, Tensor>) => {
    using read = new Owned()
    const memory = read.adopt(new WeightMemory(), (own) => own.release())
    const session = loadGraph(env, CPU, graph, { slices: slicesOf(graph, options), memory, given: values })
    undo.defer(() => env.ort.release('ReleaseSession', session.pointer))
    return session
  }
  const sessions = { embed: load(embed), head: load(head, given) }
  const ends = { ...sizes, embed: sessions.embed.pointer, head: sessions.head.pointer }
  const runner = undo.adopt(new CpuEndsRunner(env, ends), (own) => own.close())
  const kept = [...sessions.embed.kept, ...sessions.head.kept]
  const tables = new Map([...keptByName(embed, sessions.embed), ...given])
  const losses = undo.adopt(new LossRunner(env, options, tables), (own) => own.close())
  // Read by the sessions until they are gone.
  const release = undo.move()
  release.adopt(kept, (tensors) => void tensors.splice(0))
  return { runner, losses, ends, close: () => release.dispose() }
}

/** `lowering`: whose operators the graphs have; a device's run on a CPU as well. */
export function loadOnDevice(env: Environment, options: EndsOptions, lowering: Target['device']): EndsOnDevice {
  const { device = CPU, dtype = 'float32' } = options
  const { embed, head, sizes } = endGraphs(options, lowering)
  using undo = new Owned()
  const ofDevice = environmentFor(device, env)
  if (device.kind === 'webgpu') openWebGpu(ofDevice, device)
  const memory = undo.adopt(new WeightMemory(), (own) => own.release())
  using weights = new Owned()
  const given = givenHead(options)
  const load = (graph: Graph, values?: ReadonlyMap<string, Tensor>): ResidentEnd => {
    const resident = loadWeights(device, graph, { slices: slicesOf(graph, options), memory, given: values })
    weights.defer(() => releaseResident({ device, resident: [resident] }))
    return { graph, weights: resident }
  }
  const ends = { ...sizes, device, dtype, embed: load(embed), head: load(head, given) }
  const runner = weights.adopt(new DeviceEndsRunner(ofDevice, ends), (own) => own.close())
  const losses = weights.adopt(new LossRunner(env, options, given), (own) => own.close())
  const release = weights.move()
  return { runner, losses, ends: undefined, close: () => release.dispose() }
}

/** The head that takes the place of the checkpoint's, by its parameters' names. */
function givenHead({ checkpoint: { config }, head }: EndsOptions): ReadonlyMap<string, Tensor> {
  return head === undefined ? new Map() : headTensors(config, head)
}

/** The weights that a session goes on reading, by their parameters' names. */
function keptByName(graph: Graph, { kept }: Session): Map<string, Tensor> {
  const names = graph.parameters.filter(({ placement, prepacked }) => placement === 'external' && !prepacked)
  return new Map(names.map(({ name }, i) => [name, kept[i]!]))
}

function endGraphs({ checkpoint, output = 'logits', dtype = 'float32' }: EndsOptions, device: Target['device']) {
  const { config } = checkpoint
  const target = { device, dtype: device === 'cpu' ? 'float32' : dtype } as const
  return {
    embed: buildEmbedGraph(config, target),
    head: (output === 'logits' ? buildHeadGraph : buildNormGraph)(config, target),
    sizes: {
      hiddenSize: config.hiddenSize,
      output,
      outputSize: output === 'logits' ? config.vocabSize : config.hiddenSize,
    },
  }
}
