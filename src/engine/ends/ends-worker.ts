import { workerData } from 'node:worker_threads'
import { errorCode, errorMessage } from '../../base/errors.ts'
import { reconcile } from '../../checkpoint/weights/reconcile.ts'
import { buildEmbedGraph, buildHeadGraph, buildNormGraph } from '../../families/graphs.ts'
import { familyOf } from '../../families/index.ts'
import type { Graph } from '../../graph/builder.ts'
import { CPU } from '../../runtime/device.ts'
import { type Environment, createEnvironment } from '../../runtime/environment.ts'
import type { Session } from '../../runtime/session.ts'
import { EndsRunner } from './ends-runner.ts'
import type { EndsCommand, EndsEvent, EndsOptions } from './ends.ts'
import { loadGraph } from '../loading/load-graph.ts'
import { type SyncReceiver, receiveSync } from '../thread/sync-channel.ts'

/** The thread of a model's ends. Heads of several sequences that wait together are one run. */
const { receiver, checkpoint, output = 'logits', ...threads } = workerData as EndsOptions & { receiver: SyncReceiver }
const { hiddenSize, vocabSize } = checkpoint.config
const outputSize = output === 'logits' ? vocabSize : hiddenSize

type HeadCommand = Extract<EndsCommand, { type: 'head' }>

function post(event: EndsEvent): void {
  receiver.port.postMessage(event, event.type === 'done' ? [event.values.buffer as ArrayBuffer] : [])
}

function fail(error: unknown, taskId?: number): void {
  post({ type: 'failed', taskId, code: errorCode(error), message: errorMessage(error) })
}

function load(env: Environment, graph: Graph): Session {
  const { ignored } = familyOf(checkpoint.config).names(checkpoint.config)
  const slices = reconcile(graph.parameters, checkpoint, { prefixes: [], ignore: [...ignored] })
  return loadGraph(env, CPU, graph, slices)
}

function runHeads(runner: EndsRunner, heads: readonly HeadCommand[]): void {
  const began = performance.now()
  const single = heads.length === 1
  const lengths = heads.map(({ hidden }) => hidden.length)
  const hidden = single ? heads[0]!.hidden : new Float32Array(lengths.reduce((a, b) => a + b, 0))
  let at = 0
  if (!single)
    for (const head of heads) {
      hidden.set(head.hidden, at)
      at += head.hidden.length
    }
  const logits = runner.head(hidden)
  const seconds = (performance.now() - began) / 1000 / heads.length
  at = 0
  for (const [i, { taskId }] of heads.entries()) {
    const count = (lengths[i]! / hiddenSize) * outputSize
    post({ type: 'done', taskId, values: single ? logits : logits.slice(at, at + count), seconds })
    at += count
  }
}

/** Runs one task and reports its failure against all that it was for. */
function attempt(taskIds: readonly number[], task: () => void): void {
  try {
    task()
  } catch (error) {
    for (const taskId of taskIds) fail(error, taskId)
  }
}

function loop(runner: EndsRunner): void {
  for (;;) {
    const heads: HeadCommand[] = []
    for (const command of receiveSync<EndsCommand>(receiver, Infinity)) {
      if (command.type === 'close') return
      if (command.type === 'head') {
        heads.push(command)
        continue
      }
      attempt([command.taskId], () => {
        const began = performance.now()
        const values = runner.embed(command.ids)
        post({ type: 'done', taskId: command.taskId, values, seconds: (performance.now() - began) / 1000 })
      })
    }
    if (heads.length > 0)
      attempt(
        heads.map(({ taskId }) => taskId),
        () => runHeads(runner, heads),
      )
  }
}

function start(): void {
  const env = createEnvironment(threads)
  const target = { device: CPU.kind, dtype: 'float32' } as const
  const embed = load(env, buildEmbedGraph(checkpoint.config, target))
  const head = load(env, (output === 'logits' ? buildHeadGraph : buildNormGraph)(checkpoint.config, target))
  const ends = { embed: embed.pointer, head: head.pointer, hiddenSize, output, outputSize }
  const kept = [...embed.kept, ...head.kept]
  post({ type: 'ready', environment: env.pointer, ends })
  const runner = new EndsRunner(env, ends)
  loop(runner)
  runner.close()
  for (const { pointer } of [embed, head]) env.ort.release('ReleaseSession', pointer)
  // Read by the sessions until here.
  kept.length = 0
}

try {
  start()
} catch (error) {
  fail(error)
}
receiver.port.close()
