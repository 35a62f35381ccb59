import { answerCalls } from '../../base/thread/answer-calls.ts'
import type { TensorSlice } from '../../checkpoint/weights/safetensors.ts'
import { blockGraphs } from '../../families/graphs/graphs.ts'
import { trainingGraphs } from '../../families/graphs/training-graphs.ts'
import { type FinishedGraph, encodeWithoutWeights } from '../../graph/encode.ts'
import { type Environment, attachEnvironment } from '../../runtime/environment.ts'
import { createSession } from '../../runtime/session.ts'
import { blockSlices } from './block-slices.ts'
import { targetOf } from './load.ts'
import { keptCodes } from './quant-cache.ts'
import type {
  PrepareCalls,
  PreparedTraining,
  PrepareOptions,
  TrainingKind,
  TrainingSession,
} from './prepare-training.ts'

/** The thread that builds training sessions, and ends. */
answerCalls<PrepareCalls>(() => ({ prepare }))

function prepare(options: PrepareOptions): PreparedTraining {
  const { checkpoint, start, end, environment, target } = options
  const env = attachEnvironment(environment)
  const graphs = trainingGraphs(checkpoint.config, target, start, end)
  const parameters = graphs.map(({ weights }) => weights)
  const slices = blockSlices(
    { checkpoint, start, end },
    parameters.map((each) => ({ parameters: each })),
  )
  const kept = keptByBlock(options)
  const kinds = [...new Set(graphs)]
  const built: TrainingSession[] = []
  const build = (graph: FinishedGraph): TrainingSession => {
    const session = sessionOf(env, graph)
    built.push(session)
    return session
  }
  try {
    return {
      adapters: target.adapters === true,
      kinds: kinds.map(({ forward, backward, both, saved }): TrainingKind => ({
        forward: build(forward),
        backward: build(backward),
        both: build(both),
        saved: saved.map(({ name, dtype, shape }) => ({ name, dtype, shape })),
      })),
      kindOf: graphs.map((graph) => kinds.indexOf(graph)),
      parameters,
      slices: slices.map((each, i) => new Map([...each, ...(kept[i] ?? [])])),
    }
  } catch (error) {
    for (const { pointer } of built) env.ort.release('ReleaseSession', pointer)
    throw error
  }
}

/** What a quantization cache holds of each block, where there is one: it counts for what inference has loaded. */
function keptByBlock({ quant = 'none', quantCache, ...options }: PrepareOptions): ReadonlyMap<string, TensorSlice>[] {
  if (quant === 'none' || quantCache === undefined) return []
  const { checkpoint, start, end } = options
  const graphs = blockGraphs(checkpoint.config, targetOf({ ...options, quant }), start, end)
  return blockSlices({ checkpoint, start, end }, graphs).map((block) => keptCodes(quantCache, quant, block))
}

function sessionOf(env: Environment, graph: FinishedGraph): TrainingSession {
  const { pointer } = createSession(env, encodeWithoutWeights(graph), [])
  return {
    pointer,
    inputs: [...graph.inputs, ...graph.parameters].map(({ name }) => name),
    outputs: graph.outputs.map(({ name }) => name),
  }
}
