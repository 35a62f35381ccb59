import { workerData } from 'node:worker_threads'
import { errorCode, errorMessage } from '../../base/errors.ts'
import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { attachEnvironment } from '../../runtime/environment.ts'
import type { Pointer } from '../../runtime/library.ts'
import { RowBases } from '../cache/window.ts'
import { createRunner } from '../run/create-runner.ts'
import { runPrompted } from '../run/deep-prompts.ts'
import type { EngineCommand, EngineEvent, ForkCommand, OpenCommand } from './messages.ts'
import { RopeTables } from '../run/rope-tables.ts'
import { createRowCopier } from '../cache/row-copier.ts'
import type { LoadedSpan } from '../run/runner.ts'
import { Scheduler, type SchedulerLimits } from '../schedule/scheduler.ts'
import { type SyncReceiver, receiveSync } from './sync-channel.ts'
import { WindowSlider } from '../cache/window-slider.ts'

/**
 * The engine thread: takes commands, lets the scheduler choose, runs the device, reports. It has no event loop to speak
 * of.
 */
export interface EngineWorkerData {
  readonly receiver: SyncReceiver
  readonly environment: Pointer
  readonly config: ModelConfig
  readonly span: LoadedSpan
  readonly limits: SchedulerLimits
}

const { receiver, environment, config, span, limits } = workerData as EngineWorkerData
const runner = await createRunner(attachEnvironment(environment), config, span, limits)
const bases = span.window && new RowBases(span.window)
const slider = span.window && new WindowSlider(span, span.window)
const ropeTables = new RopeTables(config, span.dtype, (key, table) => report({ type: 'rope', key, table }))
const scheduler = new Scheduler(
  (batch) => {
    const ropes = ropeTables.get(batch.ropeKey, Math.max(...batch.pastLengths) + batch.tokens)
    if (batch.prompts === undefined) return runner.run(batch, ropes)
    // A row slides in all of its blocks at once: before the run is cut into one for each.
    slider?.prepare(batch)
    runPrompted(batch, batch.prompts, span.dtype, (part) => runner.run(part, ropes))
  },
  limits,
  bases && ((row, length) => bases.hasRoom(row, length, 1)),
)
const copyRow = createRowCopier(span)
const ropeKeys = new Map<number, string>()

function open({ rowId, row, maxLength, adapter }: OpenCommand): void {
  const key = ropeTables.acquire(maxLength, row.capacity)
  ropeKeys.set(rowId, key)
  scheduler.open(rowId, row, key, adapter)
}

function release(rowId: number): void {
  if (span.window?.discards) slider?.discard(scheduler.rowOf(rowId))
  scheduler.release(rowId)
  ropeTables.release(ropeKeys.get(rowId)!)
  ropeKeys.delete(rowId)
}

/** At once, before any step that comes behind it: what the rows' sessions had asked for until now has been done. */
function fork({ taskId, rowId, fromRowId, start, end, tokens }: ForkCommand): void {
  try {
    copyRow({ from: scheduler.rowOf(fromRowId), to: scheduler.rowOf(rowId), start, end, tokens })
    scheduler.setLength(rowId, tokens)
    report({ type: 'forked', taskId })
  } catch (error) {
    report({ type: 'forked', taskId, fault: { code: errorCode(error), message: errorMessage(error) } })
  }
}

function report(event: EngineEvent): void {
  const buffers =
    event.type !== 'run' ? [] : event.results.flatMap((result) => ('output' in result ? [result.output.buffer] : []))
  receiver.port.postMessage(event, [...new Set(buffers)] as ArrayBuffer[])
}

function handle(command: EngineCommand): boolean {
  switch (command.type) {
    case 'open':
      open(command)
      return true
    case 'release':
      release(command.rowId)
      return true
    case 'step':
      scheduler.add(command)
      return true
    case 'fork':
      fork(command)
      return true
    case 'length':
      scheduler.setLength(command.rowId, command.length)
      return true
    case 'close':
      return false
  }
}

function loop(): void {
  for (;;) {
    for (const command of receiveSync<EngineCommand>(receiver, !scheduler.hasWork)) {
      if (!handle(command)) return
    }
    for (const run of scheduler.turn()) report(run)
  }
}

loop()
runner.close()
report({ type: 'closed' })
receiver.port.close()
