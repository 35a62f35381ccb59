import { workerData } from 'node:worker_threads'
import { errorCode, errorMessage } from '../../base/errors.ts'
import { createEnvironment } from '../../runtime/environment.ts'
import { type SyncReceiver, receiveOrSpare } from '../../base/thread/sync-channel.ts'
import { Choosers } from './choosers.ts'
import { EventBatch } from './event-batch.ts'
import { HeadRuns } from './head-runs.ts'
import type { HeadWeights } from './head-weights.ts'
import { type EndsOnDevice, loadEnds } from './load-ends.ts'
import type { LossRunner } from './loss-runner.ts'
import type { EndsCommand, EndsEvent, EndsOptions, EndsResult, HeadCommand, LossCommand } from './messages.ts'
import { scoreRows } from './score-rows.ts'

/** The thread of a model's ends. Heads of several sequences that wait together are one run. */
const { receiver, ...options } = workerData as EndsOptions & { receiver: SyncReceiver }

/** Of the head's first runs, after which its time is known: the first also brings its weights into memory. */
const WARM_UP_RUNS = 2

function post(event: EndsEvent): void {
  send([event])
}

function send(events: readonly EndsEvent[]): void {
  const arrays = events.flatMap((event) => (event.type === 'done' ? arraysOf(event.result) : []))
  receiver.port.postMessage(
    events,
    arrays.map(({ buffer }) => buffer as ArrayBuffer),
  )
}

/** What of a result is handed over without a copy. */
function arraysOf(result: EndsResult): Float32Array[] {
  if (result instanceof Float32Array) return [result]
  if ('weight' in result) return partsOf(result)
  if (!('losses' in result)) return []
  const { losses, gradient, head } = result
  return [losses, ...(gradient === undefined ? [] : [gradient]), ...(head === undefined ? [] : partsOf(head))]
}

function partsOf({ weight, bias }: HeadWeights): Float32Array[] {
  return bias === undefined ? [weight] : [weight, bias]
}

function fail(error: unknown, taskId?: number): void {
  post({ type: 'failed', taskId, code: errorCode(error), message: errorMessage(error) })
}

/** Seconds that the head takes for one row. */
function timeHead({ runner }: EndsOnDevice): number {
  const hidden = new Float32Array(options.checkpoint.config.hiddenSize)
  let seconds = 0
  for (let i = 0; i < WARM_UP_RUNS; i++) {
    const began = performance.now()
    runner.head(hidden)
    seconds = (performance.now() - began) / 1000
  }
  return seconds
}

function loop({ runner, losses }: EndsOnDevice): void {
  const { hiddenSize, vocabSize } = options.checkpoint.config
  const choosers = new Choosers()
  const answers = new EventBatch(send)
  const runs = new HeadRuns(runner, choosers, {
    hiddenSize,
    outputSize: options.output === 'hidden' ? hiddenSize : vocabSize,
  })
  for (;;) {
    const heads: HeadCommand[] = []
    for (const command of receiveOrSpare<EndsCommand>(receiver, () => choosers.prepareOne())) {
      switch (command.type) {
        case 'close':
          return
        case 'embed':
          answer(command.taskId, () => runner.embed(command.ids))
          break
        case 'loss':
        case 'head-weights':
        case 'norm':
        case 'norm-gradient':
        case 'embedding-gradient':
          answer(command.taskId, () => train(losses, command))
          break
        case 'score':
          answer(command.taskId, () => scoreRows(runner, command))
          break
        case 'open-text':
        case 'open-beams':
        case 'close-text':
        case 'vocabulary':
          choosers.obey(command)
          break
        case 'chooser':
          choosers.add(command.link)
          break
        default:
          heads.push(command)
      }
    }
    runs.run(heads, answers)
    answers.flush()
  }
}

function answer(taskId: number, compute: () => EndsResult): void {
  const began = performance.now()
  try {
    post({ type: 'done', taskId, result: compute(), seconds: (performance.now() - began) / 1000 })
  } catch (error) {
    fail(error, taskId)
  }
}

function train(losses: LossRunner, command: LossCommand): EndsResult {
  switch (command.type) {
    case 'loss':
      return losses.losses(command.hidden, command.targets, command.weights, command.options)
    case 'head-weights':
      return losses.headWeights()
    case 'norm':
      return losses.norm(command.hidden)
    case 'norm-gradient':
      return losses.normGradient(command.hidden, command.gradient)
    case 'embedding-gradient':
      return losses.embeddingGradient(command.ids, command.gradient)
  }
}

try {
  const env = createEnvironment(options)
  const ends = loadEnds(env, options)
  try {
    post({ type: 'ready', environment: env.pointer, ends: ends.ends, headSeconds: timeHead(ends) })
    loop(ends)
  } finally {
    ends.close()
  }
} catch (error) {
  fail(error)
}
receiver.port.close()
