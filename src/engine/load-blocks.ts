import { blockDigests } from '../checkpoint/fingerprint.ts'
import { reconcile } from '../checkpoint/reconcile.ts'
import type { TensorSlice } from '../checkpoint/safetensors.ts'
import { buildBlockGraph, cacheShape } from '../families/graphs.ts'
import { familyOf } from '../families/index.ts'
import type { Graph } from '../graph/builder.ts'
import { createEnvironment } from '../runtime/environment.ts'
import { loadGraph } from './load-graph.ts'
import type { LoadOptions, LoadProgress, LoadResult } from './load.ts'
import { dtypeSize } from '../tensor/dtype.ts'

/** Builds one session per block, one block at a time: what is read of a block is given back before the next. */
export function loadBlocks(options: LoadOptions, onProgress: (progress: LoadProgress) => void): LoadResult {
  const { checkpoint, start, end, device, dtype } = options
  const { config } = checkpoint
  const target = { device: device.kind, dtype }
  const graph = buildBlockGraph(config, target)
  const slices = blockSlices(options, graph)
  const digests = blockDigests(slices.map((block) => [...block.values()]))
  const env = createEnvironment(options)
  const sessions = slices.map((block, i) => {
    const session = loadGraph(env, device, graph, ({ name }) => block.get(name)!)
    onProgress({ blocksLoaded: i + 1, numBlocks: end - start })
    return session
  })
  const { kvHeads, headDim } = cacheShape(config, target)
  return {
    environment: env.pointer,
    blockDigests: digests,
    hiddenBytes: config.hiddenSize * dtypeSize(dtype),
    kept: sessions.flatMap(({ kept }) => kept),
    span: {
      device, dtype, hiddenSize: config.hiddenSize, kvHeads, cacheHeadDim: headDim,
      sessions: sessions.map(({ pointer }) => pointer),
      needsPositionIds: graph.inputs.some(({ name }) => name === 'position_ids'),
    },
  }
}

/** The stored tensor of each parameter, by the parameter's name within its block. */
function blockSlices({ checkpoint, start, end }: LoadOptions, graph: Graph): Map<string, TensorSlice>[] {
  const names = familyOf(checkpoint.config).names(checkpoint.config)
  return Array.from({ length: end - start }, (_, i) => {
    const prefix = names.blockPrefix(start + i)
    const wanted = graph.parameters.map(({ name, shape }) => ({ name: prefix + name, shape }))
    const found = reconcile(wanted, checkpoint, { prefixes: [prefix], ignore: [...names.ignored] })
    return new Map([...found].map(([name, slice]) => [name.slice(prefix.length), slice]))
  })
}
