import { workerData } from 'node:worker_threads'
import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { attachEnvironment } from '../../runtime/environment.ts'
import type { Pointer } from '../../runtime/library.ts'
import { RowCache } from '../cache/rows/row-cache.ts'
import type { RowMemory } from '../cache/rows/row-memory.ts'
import { createRunner, recordsSteps } from '../run/create-runner.ts'
import { RopeTables } from '../run/rope-tables.ts'
import { RowBatchRunner } from '../run/row-batch-runner.ts'
import type { RunnerSpan } from '../run/runner-span.ts'
import { TrainingRunner } from '../run/training-runner.ts'
import { Scheduler, type SchedulerLimits } from '../schedule/scheduler.ts'
import { EngineLoop } from './engine-loop.ts'
import type { EngineCommand, EngineEvent } from './messages.ts'
import { type SyncReceiver, receiveSync } from '../../base/thread/sync-channel.ts'

/** What the engine thread begins with. Plain data. */
export interface EngineWorkerData {
  readonly receiver: SyncReceiver
  readonly environment: Pointer
  readonly config: ModelConfig
  readonly span: RunnerSpan
  readonly memory: RowMemory
  readonly cacheTokens: number
  readonly limits: SchedulerLimits
  /** What weights that training reads may keep of memory. */
  readonly pinnedBytes: number
}

/** The engine thread. It has no event loop to speak of: it sleeps until a command comes or a moment has passed. */
const { receiver, environment, config, span, memory, cacheTokens, limits, pinnedBytes } = workerData as EngineWorkerData
const env = attachEnvironment(environment)
const cache = new RowCache(memory, span)
const ropes = new RopeTables(config, span.dtype, (key, table) => report({ type: 'rope', key, table }))
const runner = new RowBatchRunner(
  {
    span,
    cache,
    ropes,
    runner: await createRunner(env, config, { span, memory, limits }),
    createTraining: (prepared) => new TrainingRunner(env, prepared, pinnedBytes),
  },
  { ...limits, bucketCacheTokens: recordsSteps(span) ? cacheTokens : undefined },
)
const scheduler = new Scheduler(limits)
const loop = new EngineLoop({ scheduler, runner, cache, report, now: () => performance.now() })

function report(event: EngineEvent): void {
  const outputs =
    event.type === 'run' ? event.results.flatMap((result) => ('output' in result ? [result.output] : [])) : []
  receiver.port.postMessage(event, outputs.map(({ buffer }) => buffer) as ArrayBuffer[])
}

function work(): void {
  for (let waitMs = Infinity; ;) {
    for (const command of receiveSync<EngineCommand>(receiver, waitMs)) if (!loop.handle(command)) return
    waitMs = loop.turn()
  }
}

work()
runner.shutDown()
report({ type: 'closed' })
receiver.port.close()
