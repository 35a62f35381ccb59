import ort from 'onnxruntime-node'
import { type Checkpoint, openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { reconcile } from '../../../src/checkpoint/weights/reconcile.ts'
import type { TensorSlice } from '../../../src/checkpoint/weights/safetensors.ts'
import { blockSlices } from '../../../src/engine/loading/block-slices.ts'
import { ParameterReader } from '../../../src/engine/loading/parameter-reader.ts'
import { WeightMemory } from '../../../src/engine/loading/weight-memory.ts'
import { blockGraphs, buildEmbedGraph, buildHeadGraph } from '../../../src/families/graphs/graphs.ts'
import type { Graph } from '../../../src/graph/builder.ts'
import { encodeModel } from '../../../src/graph/encode.ts'
import { BlockRunner, CPU } from '../../families/support.ts'
import '../environment.ts'

/** The logits after the last of `ids`, by a whole checkpoint, without threads. */
export async function logitsAfter(source: Checkpoint | string, ids: readonly number[]): Promise<Float32Array> {
  const checkpoint = typeof source === 'string' ? await openCheckpoint(source) : source
  const { config } = checkpoint
  const endOf = (graph: Graph) => sessionOf(graph, reconcile(graph.parameters, checkpoint, { prefixes: [] }))
  const embed = await endOf(buildEmbedGraph(config, CPU))
  const input = { ids: new ort.Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]) }
  let hidden = (await embed.run(input))['output']!.data as Float32Array
  const graphs = blockGraphs(config, CPU)
  const slices = blockSlices({ checkpoint, start: 0, end: config.numBlocks }, graphs)
  const sizes = { rows: 1, capacity: ids.length, maxLength: ids.length }
  for (const [block, graph] of graphs.entries()) {
    const session = await sessionOf(graph, slices[block]!)
    hidden = await new BlockRunner(session, config, { ...sizes, block }).step(hidden, ids.length)
  }
  const head = await endOf(buildHeadGraph(config, CPU))
  const last = new ort.Tensor('float32', hidden.slice(-config.hiddenSize), [1, config.hiddenSize])
  return (await head.run({ hidden: last }))['logits']!.data as Float32Array
}

function sessionOf(graph: Graph, slices: ReadonlyMap<string, TensorSlice>): Promise<ort.InferenceSession> {
  const reader = new ParameterReader({ slices, memory: new WeightMemory() })
  const values = new Map(graph.parameters.map((each) => [each.name, reader.read(each, { lent: false })]))
  const { name, inputs, outputs, constants, nodes } = graph
  const parameters = graph.parameters.map((each) => ({ ...each, placement: 'inline' as const }))
  return ort.InferenceSession.create(encodeModel({ name, inputs, outputs, constants, nodes, parameters }, values), {
    graphOptimizationLevel: 'basic',
    intraOpNumThreads: 1,
  })
}
