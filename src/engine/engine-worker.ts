import { workerData } from 'node:worker_threads'
import type { ModelConfig } from '../checkpoint/config.ts'
import { ropeKey, ropeTable } from '../families/rope.ts'
import { attachEnvironment } from '../runtime/environment.ts'
import type { Pointer } from '../runtime/library.ts'
import type { EngineCommand, EngineEvent } from './messages.ts'
import { convert } from '../tensor/convert.ts'
import { type Tensor, fromFloat32 } from '../tensor/tensor.ts'
import { type LoadedSpan, type RopeTensors, SpanRunner } from './runner.ts'
import { Scheduler, type SchedulerLimits } from './scheduler.ts'
import { type SyncReceiver, receiveSync } from './sync-channel.ts'

/** The engine thread: takes commands, lets the scheduler choose, runs the device, reports. It has no event loop to speak of. */
export interface EngineWorkerData {
  readonly receiver: SyncReceiver
  readonly environment: Pointer
  readonly config: ModelConfig
  readonly span: LoadedSpan
  readonly limits: SchedulerLimits
}

const { receiver, environment, config, span, limits } = workerData as EngineWorkerData
const runner = new SpanRunner(attachEnvironment(environment), span)
const ropeTables = new Map<string, RopeTensors>()
const scheduler = new Scheduler((batch) => runner.run(batch, ropeTables.get(batch.ropeKey)!), limits)

/** RoPE scalings that depend on length take their factor from the session's declared maximum, once. */
function ropeFor(maxLength: number, capacity: number): string {
  const key = ropeKey(config, maxLength)
  const held = ropeTables.get(key)
  if (held === undefined || held.cos.shape[0]! < capacity) {
    const { cos, sin, halfDim } = ropeTable(config, { maxLength, positions: capacity })
    const tensorOf = (values: Float32Array) => shared(convert(fromFloat32(values, [capacity, halfDim]), span.dtype))
    const table = { cos: tensorOf(cos), sin: tensorOf(sin) }
    ropeTables.set(key, table)
    report({ type: 'rope', key, table })
  }
  return key
}

function shared(source: Tensor): Tensor {
  const data = new Uint8Array(new SharedArrayBuffer(source.data.byteLength))
  data.set(source.data)
  return { ...source, data }
}

function report(event: EngineEvent): void {
  const buffers = event.type !== 'run' ? [] : event.results.flatMap((result) => 'output' in result ? [result.output.buffer] : [])
  receiver.port.postMessage(event, [...new Set(buffers)] as ArrayBuffer[])
}

function handle(command: EngineCommand): boolean {
  switch (command.type) {
    case 'open': scheduler.open(command.rowId, command.row, ropeFor(command.maxLength, command.row.capacity)); return true
    case 'release': scheduler.release(command.rowId); return true
    case 'step': scheduler.add(command); return true
    case 'length': scheduler.setLength(command.rowId, command.length); return true
    case 'close': return false
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
