/**
 * A process that loads all blocks of a model on the CPU, serves a session of them, and sends its parent what that took.
 * Linux only. argv: the model's folder.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { Engine } from '../../src/engine/engine.ts'
import { CPU } from '../../src/runtime/device.ts'
import { fromFloat32 } from '../../src/tensor/tensor.ts'

/** Bytes of resident memory, counted from before the span was loaded; the peak is while it was. */
export interface MemoryReport {
  readonly loadedBytes: number
  readonly peakBytes: number
  /** After a session of `sessionTokens` tokens in chunks of 256, and some decode steps. */
  readonly servingBytes: number
  readonly sessionTokens: number
  readonly loadSeconds: number
  /** The longest that the process's own thread was held up while the span was loaded. */
  readonly maxDelayMs: number
}

const SESSION_TOKENS = 1024
const CHUNK_TOKENS = 256
const DECODE_STEPS = 16

/** The engine thread goes on starting after it is ready to take commands. */
const SETTLE_MS = 1000

function residentBytes(field: 'VmRSS' | 'VmHWM'): number {
  const match = new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync('/proc/self/status', 'utf8'))
  return Number(match![1]) * 1024
}

async function decode(engine: Engine, steps: number): Promise<void> {
  const {
    start,
    end,
    config: { hiddenSize },
  } = engine
  const session = await engine.openSession({ start, end, maxLength: steps, timeoutMs: 0 })
  for (let i = 0; i < steps; i++)
    await session.step(fromFloat32(new Float32Array(hiddenSize).fill(0.1), [1, hiddenSize]))
  session.release()
}

async function prefill(engine: Engine, tokens: number): Promise<void> {
  const {
    start,
    end,
    config: { hiddenSize },
  } = engine
  const session = await engine.openSession({ start, end, maxLength: tokens, timeoutMs: 0 })
  for (let done = 0; done < tokens; done += CHUNK_TOKENS) {
    await session.step(fromFloat32(new Float32Array(CHUNK_TOKENS * hiddenSize).fill(0.1), [CHUNK_TOKENS, hiddenSize]))
  }
  session.release()
}

const checkpoint = await openCheckpoint(process.argv[2]!)
const delay = monitorEventLoopDelay({ resolution: 1 })
delay.enable()
// The monitor misses a hold-up that begins in its own first turn.
await sleep(20)
delay.reset()
await sleep(5)
writeFileSync('/proc/self/clear_refs', '5')
const before = residentBytes('VmRSS')
const began = performance.now()
const engine = await Engine.load({
  checkpoint,
  start: 0,
  end: checkpoint.config.numBlocks,
  device: CPU,
  dtype: 'float32',
  threads: 2,
  spin: false,
  cacheTokens: 2048,
})
const loadSeconds = (performance.now() - began) / 1000
await sleep(5)
const maxDelayMs = delay.max / 1e6
const peakBytes = residentBytes('VmHWM') - before
await decode(engine, DECODE_STEPS)
await sleep(SETTLE_MS)
const loadedBytes = residentBytes('VmRSS') - before
await prefill(engine, SESSION_TOKENS)
await decode(engine, DECODE_STEPS)
const servingBytes = residentBytes('VmRSS') - before
await engine.close()
process.send!({
  loadedBytes,
  peakBytes,
  servingBytes,
  sessionTokens: SESSION_TOKENS,
  loadSeconds,
  maxDelayMs,
} satisfies MemoryReport)
process.disconnect()
