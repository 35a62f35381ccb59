import { workerData } from 'node:worker_threads'
import { errorCode, errorMessage } from '../base/errors.ts'
import { reconcile } from '../checkpoint/reconcile.ts'
import { buildEmbedGraph, buildHeadGraph } from '../families/graphs.ts'
import { familyOf } from '../families/index.ts'
import type { Graph } from '../graph/builder.ts'
import { CPU } from '../runtime/device.ts'
import { type Environment, createEnvironment, memoryInfo } from '../runtime/environment.ts'
import type { Pointer } from '../runtime/library.ts'
import { runBound } from '../runtime/run.ts'
import type { Session } from '../runtime/session.ts'
import { TensorScope } from '../runtime/tensor-scope.ts'
import type { EndsCommand, EndsEvent, EndsOptions } from './ends.ts'
import { loadGraph } from './load-graph.ts'
import { type SyncReceiver, receiveSync } from './sync-channel.ts'

/** The thread of a model's ends. Heads of several sequences that wait together are one run. */
const { receiver, checkpoint, ...threads } = workerData as EndsOptions & { receiver: SyncReceiver }
const { hiddenSize, vocabSize } = checkpoint.config

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
  return loadGraph(env, CPU, graph, ({ name }) => slices.get(name)!)
}

class Ends {
  readonly #env: Environment
  readonly #cpu: Pointer
  readonly #runOptions: Pointer
  readonly #embed: Session
  readonly #head: Session

  constructor() {
    const target = { device: CPU.kind, dtype: 'float32' } as const
    this.#env = createEnvironment(threads)
    this.#cpu = memoryInfo(this.#env.ort, CPU)
    this.#runOptions = this.#env.ort.create('CreateRunOptions')
    this.#embed = load(this.#env, buildEmbedGraph(checkpoint.config, target))
    this.#head = load(this.#env, buildHeadGraph(checkpoint.config, target))
  }

  embed(ids: BigInt64Array): Float32Array {
    const output = new Float32Array(ids.length * hiddenSize)
    using scope = new TensorScope(this.#env.ort)
    runBound(this.#env.ort, this.#embed.pointer, this.#runOptions,
      [['ids', scope.wrap(this.#cpu, 'int64', [1, ids.length], ids)]],
      [['output', scope.wrap(this.#cpu, 'float32', [1, ids.length, hiddenSize], output)]])
    return output
  }

  head(tokens: number, hidden: Float32Array): Float32Array {
    const logits = new Float32Array(tokens * vocabSize)
    using scope = new TensorScope(this.#env.ort)
    runBound(this.#env.ort, this.#head.pointer, this.#runOptions,
      [['hidden', scope.wrap(this.#cpu, 'float32', [tokens, hiddenSize], hidden)]],
      [['logits', scope.wrap(this.#cpu, 'float32', [tokens, vocabSize], logits)]])
    return logits
  }

  close(): void {
    for (const { pointer } of [this.#embed, this.#head]) this.#env.ort.release('ReleaseSession', pointer)
    this.#env.ort.release('ReleaseRunOptions', this.#runOptions)
    this.#env.ort.release('ReleaseMemoryInfo', this.#cpu)
  }
}

function runHeads(ends: Ends, heads: readonly HeadCommand[]): void {
  const began = performance.now()
  const tokens = heads.reduce((sum, head) => sum + head.tokens, 0)
  const single = heads.length === 1
  const hidden = single ? heads[0]!.hidden : new Float32Array(tokens * hiddenSize)
  let row = 0
  if (!single) for (const head of heads) {
    hidden.set(head.hidden, row * hiddenSize)
    row += head.tokens
  }
  const logits = ends.head(tokens, hidden)
  const seconds = (performance.now() - began) / 1000 / heads.length
  row = 0
  for (const { taskId, tokens } of heads) {
    const values = single ? logits : logits.slice(row * vocabSize, (row + tokens) * vocabSize)
    row += tokens
    post({ type: 'done', taskId, values, seconds })
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

function loop(ends: Ends): void {
  for (;;) {
    const heads: HeadCommand[] = []
    for (const command of receiveSync<EndsCommand>(receiver, true)) {
      if (command.type === 'close') return
      if (command.type === 'head') {
        heads.push(command)
        continue
      }
      attempt([command.taskId], () => {
        const began = performance.now()
        const values = ends.embed(command.ids)
        post({ type: 'done', taskId: command.taskId, values, seconds: (performance.now() - began) / 1000 })
      })
    }
    if (heads.length > 0) attempt(heads.map(({ taskId }) => taskId), () => runHeads(ends, heads))
  }
}

let ends: Ends | undefined
try {
  ends = new Ends()
  post({ type: 'ready' })
} catch (error) {
  fail(error)
}
if (ends !== undefined) {
  loop(ends)
  ends.close()
}
receiver.port.close()
