import { PetalsError } from '../../base/errors.ts'
import { blockGraphs, cacheShape } from '../../families/graphs/graphs.ts'
import type { TensorSlice } from '../../checkpoint/weights/safetensors.ts'
import { type Environment, createEnvironment, environmentFor } from '../../runtime/environment.ts'
import type { Session } from '../../runtime/session.ts'
import { openWebGpu } from '../../runtime/webgpu/open.ts'
import { blockSlices } from './block-slices.ts'
import { keptDigests } from './kept-digests.ts'
import { loadGraph } from './load-graph.ts'
import { type BlockOptions, type LoadedBlocks, type LoadReport, type LoadBlocksOptions, targetOf } from './load.ts'
import type { ParameterSources } from './parameter-reader.ts'
import { QuantCacheFile } from './quant-cache.ts'
import { type ResidentBlock, loadResidentBlocks } from './resident.ts'
import { dtypeSize } from '../../tensor/dtype.ts'
import { requireZeroBiases } from './spare-biases.ts'
import { ReadHelper } from './shared-read.ts'
import { yieldToOthers } from './thread-priority.ts'
import { WeightMemory } from './weight-memory.ts'
import { threadRuntime } from '../../runtime/thread-runtime.ts'

/**
 * Builds one session per block on a CPU, and brings the weights to the device elsewhere, one block at a time: what is
 * read of a block is given back before the next. Throws what loading throws; nothing is left behind then.
 */
export function loadBlocks(options: LoadBlocksOptions, report: (report: LoadReport) => void): LoadedBlocks {
  const { checkpoint, start, end, device, dtype } = options
  const onBlock = (blocksLoaded: number): void => {
    report({ blocksLoaded, numBlocks: end - start })
    if (Atomics.load(new Int32Array(options.stop), 0) !== 0)
      throw new PetalsError('ENGINE_LOAD', 'loading was ended before all blocks were there')
  }
  const { config } = checkpoint
  const target = targetOf(options)
  const graphs = blockGraphs(config, target, start, end)
  const slices = blockSlices(options, graphs)
  for (const [i, block] of slices.entries()) requireZeroBiases(graphs[i]!, block)
  const digests = options.withDigests ? keptDigests(slices, options.quantCache) : undefined
  const env = environmentFor(device, createEnvironment(options))
  if (device.kind === 'webgpu') openWebGpu(env, device)
  // Only now: the runtime's own threads, which will serve, have been created.
  yieldToOthers()
  let isWarned = false
  const onUnwritten = ({ message }: PetalsError): void => {
    if (!isWarned) report({ warning: `${message}: the next start quantizes anew` })
    isWarned = true
  }
  const helper = new ReadHelper()
  const uploads = device.kind === 'cpu' ? undefined : threadRuntime.uploads(device)
  const memory = new WeightMemory(helper, uploads)
  const sourcesOf = (i: number): ParameterSources => {
    const block = slices[i]!
    return { slices: block, memory, cache: quantCacheOf(options, block, onUnwritten) }
  }
  const sessions: Session[] = []
  let resident: ResidentBlock[] | undefined
  try {
    if (device.kind !== 'cpu') resident = loadResidentBlocks(device, graphs, sourcesOf, { uploads, onBlock })
    else
      for (const [i, graph] of graphs.entries()) {
        sessions.push(loadGraph(env, device, graph, sourcesOf(i)))
        onBlock(sessions.length)
      }
  } catch (error) {
    releaseSessions(env, sessions)
    throw error
  } finally {
    memory.release()
    uploads?.release()
    helper.end()
  }
  const { kvHeads, headDim } = cacheShape(config, target)
  return {
    environment: env.pointer,
    hiddenBytes: config.hiddenSize * dtypeSize(dtype),
    kept: sessions.flatMap(({ kept }) => kept),
    blockDigests: digests,
    span: {
      device,
      dtype,
      quant: options.quant,
      kvDType: options.kvDType,
      start,
      hiddenSize: config.hiddenSize,
      kvHeads,
      cacheHeadDim: headDim,
      sessions: sessions.map(({ pointer }) => pointer),
      resident,
      inputs: graphs.map(({ inputs }) => new Set(inputs.map(({ name }) => name))),
    },
  }
}

function quantCacheOf(
  { quant = 'none', quantCache }: BlockOptions,
  block: ReadonlyMap<string, TensorSlice>,
  onUnwritten: (error: PetalsError) => void,
): QuantCacheFile | undefined {
  if (quant === 'none' || quantCache === undefined) return undefined
  return new QuantCacheFile(quantCache, quant, block, onUnwritten)
}

function releaseSessions({ ort }: Environment, sessions: readonly Session[]): void {
  for (const { pointer } of sessions) ort.release('ReleaseSession', pointer)
}
