import { answerCalls } from '../../base/thread/answer-calls.ts'
import { trainingGraphs } from '../../families/training-graphs.ts'
import { type FinishedGraph, encodeWithoutWeights } from '../../graph/encode.ts'
import { type Environment, attachEnvironment } from '../../runtime/environment.ts'
import { createSession } from '../../runtime/session.ts'
import { blockSlices } from './block-slices.ts'
import type {
  PrepareCalls,
  PreparedTraining,
  PrepareOptions,
  TrainingKind,
  TrainingSession,
} from './prepare-training.ts'

/** The thread that builds training sessions, and ends. */
answerCalls<PrepareCalls>(() => ({ prepare }))

function prepare({ checkpoint, start, end, environment, target }: PrepareOptions): PreparedTraining {
  const env = attachEnvironment(environment)
  const graphs = trainingGraphs(checkpoint.config, target, start, end)
  const parameters = graphs.map(({ weights }) => weights)
  const slices = blockSlices(
    { checkpoint, start, end },
    parameters.map((each) => ({ parameters: each })),
  )
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
      kinds: kinds.map(({ forward, backward, saved }): TrainingKind => ({
        forward: build(forward),
        backward: build(backward),
        saved: saved.map(({ name, dtype, shape }) => ({ name, dtype, shape })),
      })),
      kindOf: graphs.map((graph) => kinds.indexOf(graph)),
      parameters,
      slices,
    }
  } catch (error) {
    for (const { pointer } of built) env.ort.release('ReleaseSession', pointer)
    throw error
  }
}

function sessionOf(env: Environment, graph: FinishedGraph): TrainingSession {
  const { pointer } = createSession(env, encodeWithoutWeights(graph), [])
  return {
    pointer,
    inputs: [...graph.inputs, ...graph.parameters].map(({ name }) => name),
    outputs: graph.outputs.map(({ name }) => name),
  }
}
