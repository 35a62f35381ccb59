import { workerData } from 'node:worker_threads'
import { sharedNow } from '../../base/clock.ts'
import { attachEnvironment, environmentFor } from '../../runtime/environment.ts'
import type { Pointer } from '../../runtime/library.ts'
import { releaseResident } from '../loading/resident.ts'
import type { BatchRunnerOptions } from '../run/batch-modules.ts'
import { createBatchRunner } from '../run/create-batch-runner.ts'
import { RopeTables } from '../run/rope-tables.ts'
import { Scheduler } from '../schedule/scheduler.ts'
import { EngineLoop } from './engine-loop.ts'
import type { EngineCommand, EngineEvent } from './messages.ts'
import { type SyncReceiver, receiveSync } from '../../base/thread/sync-channel.ts'

/** What the engine thread begins with. Plain data. */
export interface EngineWorkerData extends BatchRunnerOptions {
  readonly receiver: SyncReceiver
  readonly environment: Pointer
}

/** The engine thread. It has no event loop to speak of: it sleeps until a command comes or a moment has passed. */
const { receiver, environment, ...options } = workerData as EngineWorkerData
const { config, span, limits } = options
const env = environmentFor(span.device, attachEnvironment(environment))
const ropes = new RopeTables(config, span.dtype, (key, table) => report({ type: 'rope', key, table }))
const { cache, runner } = await createBatchRunner(env, options, ropes, (prepared, toPrepare) =>
  report({ type: 'prepared', prepared, toPrepare }),
)
const scheduler = new Scheduler(limits)
const loop = new EngineLoop({ scheduler, runner, cache, report, now: sharedNow })
report({ type: 'ready' })

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
// Here, where the device's calls are made anyway: each has to wait for its turn there.
releaseResident(span)
report({ type: 'closed' })
receiver.port.close()
