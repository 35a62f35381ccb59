import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RowCache } from '../../../src/engine/cache/rows/row-cache.ts'
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { RopeTables, type RopeTensors, filledPositions } from '../../../src/engine/run/rope-tables.ts'
import type { RowBatch } from '../../../src/engine/run/row-batch.ts'
import type { BucketOptions } from '../../../src/engine/run/row-bucket.ts'
import { RowBatchRunner } from '../../../src/engine/run/row-batch-runner.ts'
import type { RunnerSpan } from '../../../src/engine/run/runner-span.ts'
import { Scheduler } from '../../../src/engine/schedule/scheduler.ts'
import { EngineLoop } from '../../../src/engine/thread/engine-loop.ts'
import type { EngineEvent } from '../../../src/engine/thread/messages.ts'
import { CPU } from '../../../src/runtime/device.ts'
import { RuntimeError } from '../../../src/runtime/errors.ts'

const CAPACITY = 128
const HIDDEN_BYTES = 4
const LIMITS = { maxBatchRows: 8, prefillChunkTokens: 2, passPieceTokens: 2 }

/** A runner that answers with its input plus one, except for batches that hold the row at `failing`. */
class Faulty {
  failing = -1
  readonly ran: { offset: number; pastLengths: readonly number[]; input: number[] }[] = []

  run({ offset, capacity, pastLengths, input, output }: RowBatch): void {
    this.ran.push({ offset, pastLengths, input: [...input] })
    if (pastLengths.some((_, i) => offset + i * capacity === this.failing))
      throw new RuntimeError('RUNTIME_MEMORY', 'onnxruntime Run: out of memory')
    output.set(input.map((byte) => byte + 1))
  }

  close(): void {}
}

/** The engine thread's loop over a device that is made up; what it reports is kept. */
function newLoop({ buckets, now = () => 0 }: { buckets?: BucketOptions; now?: () => number } = {}) {
  const device = new Faulty()
  const span = { dtype: 'float32', kvHeads: 1, cacheHeadDim: 1, device: CPU } as unknown as RunnerSpan
  const cache = new RowCache({ device: CPU, kvHeads: 1, tokenBytes: 4, blocks: [], discards: false }, span)
  const ropes = { acquire: () => 'rope', release: () => undefined, get: () => undefined } as unknown as RopeTables
  const runner = new RowBatchRunner(
    { span, runner: device, cache, ropes, createTraining: () => assert.fail() },
    { ...LIMITS, buckets },
  )
  const events: EngineEvent[] = []
  const scheduler = new Scheduler(LIMITS)
  const loop = new EngineLoop({ scheduler, runner, cache, report: (event) => events.push(event), now })
  const open = (sequence: number, offset: number, capacity = CAPACITY, length = 0): void => {
    loop.handle({ type: 'open', sequence, place: { offset, capacity }, maxLength: capacity, adapter: undefined })
    cache.append(sequence, length)
  }
  const step = (sequence: number, position: number, tokens = 1, client = ''): void => {
    const hidden = new Uint8Array(tokens * HIDDEN_BYTES).fill(10 * sequence)
    const work = { kind: 'step', taskId: sequence, client, sequence, start: 0, end: 1, position, tokens } as const
    loop.handle({ type: 'compute', work: { ...work, prompted: false }, input: { hidden }, sentAt: now() })
  }
  /** The first byte of each task's output, or its code. */
  const settle = (): Record<number, string | number> => {
    events.length = 0
    for (let turns = 0; turns < 20; turns++) loop.turn()
    const results = events.flatMap((event) => (event.type === 'run' ? event.results : []))
    return Object.fromEntries(results.map((each) => [each.taskId, 'output' in each ? each.output[0]! : each.code]))
  }
  return { device, loop, cache, events, open, step, settle }
}

test('a failed run fails its own requests with a typed error and no others', () => {
  const { device, open, step, settle } = newLoop()
  // Rows 1 and 2 are neighbours and make one batch; row 3 is of another capacity, row 4 prefills.
  open(1, 0)
  open(2, 128)
  open(3, 256, 256)
  open(4, 512)
  device.failing = 0
  for (const sequence of [1, 2, 3]) step(sequence, 0)
  step(4, 0, 2)
  assert.deepEqual(settle(), { 1: 'RUNTIME_MEMORY', 2: 'RUNTIME_MEMORY', 3: 31, 4: 41 })
  device.failing = -1
  for (const sequence of [1, 2]) step(sequence, 0)
  assert.deepEqual(settle(), { 1: 11, 2: 21 })
})

test('a prefill that fails in its second chunk ends there and leaves nothing queued', () => {
  const { device, loop, open, step, settle } = newLoop()
  open(1, 0)
  step(1, 0, 5)
  loop.turn()
  device.failing = 0
  assert.deepEqual(settle(), { 1: 'RUNTIME_MEMORY' })
  assert.deepEqual(
    device.ran.map(({ pastLengths }) => pastLengths[0]),
    [0, 2],
  )
})

test('a step at a position that the cache does not hold fails alone', () => {
  const { open, step, settle } = newLoop()
  open(1, 0, CAPACITY, 5)
  open(2, 128, CAPACITY, 5)
  step(1, 7)
  step(2, 3)
  assert.deepEqual(settle(), { 1: 'SESSION_POSITION', 2: 21 })
})

test('what waits for a sequence that is released is forgotten, and said to be', () => {
  const { device, loop, events, open, step, settle } = newLoop()
  open(1, 0)
  step(1, 0, 4)
  loop.turn()
  loop.handle({ type: 'release', sequence: 1 })
  assert.deepEqual(events.at(-1), { type: 'dropped', taskIds: [1] })
  assert.deepEqual(settle(), {})
  assert.equal(device.ran.length, 1)
  open(2, 0)
  step(2, 0)
  assert.deepEqual(settle(), { 2: 21 })
})

/** A loop whose decode steps are recorded, with sequences in the rows of `open`, which hold so many tokens. */
function recorded(open: Record<number, number>, steps: readonly number[]) {
  const { device, step, settle, ...loop } = newLoop({
    buckets: { cacheTokens: 8 * CAPACITY, leastRows: 1, runTokens: 1000 },
  })
  for (const [index, length] of Object.entries(open))
    loop.open(Number(index) + 1, Number(index) * CAPACITY, CAPACITY, length)
  for (const index of steps) step(index + 1, open[index]!)
  const expected = Object.fromEntries(steps.map((index) => [index + 1, 10 * (index + 1) + 1]))
  assert.deepEqual(settle(), expected)
  return device.ran
}

test('recorded steps go through aligned buckets, whose other rows are written where nothing counts yet', () => {
  const [batch, ...others] = recorded({ 1: 5, 2: 7, 3: 9 }, [1, 2])
  assert.deepEqual([batch!.offset, batch!.pastLengths], [0, [0, 5, 7, 9]])
  assert.deepEqual(
    batch!.input.filter((_, i) => i % HIDDEN_BYTES === 0),
    [0, 20, 30, 0],
  )
  assert.equal(others.length, 0)
})

test('a full row is never bridged, nor one that another run of the batch may fill', () => {
  for (const length of [CAPACITY, CAPACITY - 1]) {
    const [batch] = recorded({ 1: 5, 2: 7, 3: length }, [1, 2])
    assert.deepEqual([batch!.offset, batch!.pastLengths], [CAPACITY, [5, 7]])
  }
})

test('rows far apart are one run where an idle row costs nothing', () => {
  const ran = recorded({ 0: 3, 7: 4 }, [0, 7])
  assert.deepEqual(
    ran.map(({ pastLengths }) => pastLengths),
    [[3, 0, 0, 0, 0, 0, 0, 4]],
  )
})

test('an error while a sequence is opened, advanced or released costs that sequence and no others', () => {
  const { loop, cache, events, open, step, settle } = newLoop()
  open(1, 0)
  const row = { offset: 128, capacity: CAPACITY }
  const falsely = <K extends 'reserve' | 'append' | 'release'>(name: K, work: () => void): void => {
    const real = cache[name]
    cache[name] = () => {
      throw new RuntimeError('RUNTIME_MEMORY', `${name}: out of memory`)
    }
    try {
      work()
    } finally {
      cache[name] = real
    }
  }
  falsely('reserve', () => loop.handle({ type: 'open', sequence: 2, place: row, maxLength: 128, adapter: undefined }))
  step(2, 0)
  assert.deepEqual(
    events.filter(({ type }) => type === 'fault'),
    [{}, { taskId: 2 }].map((task) => ({
      type: 'fault',
      ...task,
      code: 'RUNTIME_MEMORY',
      message: 'reserve: out of memory',
    })),
  )
  loop.handle({ type: 'fork', taskId: 9, client: 'a', sequence: 1, from: 2, start: 0, end: 1, tokens: 1 })
  assert.equal(events.findLast((event) => event.type === 'forked')?.fault?.code, 'RUNTIME_MEMORY')
  loop.handle({ type: 'release', sequence: 2 })
  // The row is free again, and the name.
  open(2, 128)
  falsely('append', () => loop.handle({ type: 'advanced', sequence: 2, position: 0 }))
  step(2, 0)
  assert.equal(events.findLast((event) => event.type === 'fault')?.taskId, 2)
  falsely('release', () => loop.handle({ type: 'release', sequence: 2 }))
  step(1, 0)
  assert.deepEqual(settle(), { 1: 11 })
})

test('a pass fills its rotary table piece by piece, and gives it back', async () => {
  const { config } = await openCheckpoint(new URL('../../fixtures/llama-dynamic', import.meta.url).pathname)
  const ropes = new RopeTables(config, 'float32', () => undefined)
  const filled: number[] = []
  const runner = {
    run: (_: RowBatch, table: RopeTensors) => filled.push(filledPositions(table)),
    close: () => undefined,
  }
  const span = { dtype: 'float32', kvHeads: 1, cacheHeadDim: 1, device: CPU, inputs: [[]], kvDType: 'float32' }
  const batches = new RowBatchRunner(
    { span: span as unknown as RunnerSpan, runner, cache: {} as RowCache, ropes, createTraining: () => assert.fail() },
    { maxBatchRows: 8, passPieceTokens: 256 },
  )
  const tokens = 100_000
  const pass = { kind: 'forward', taskId: 1, client: '', start: 0, end: 1, sequences: 1, tokens } as const
  batches.accept(pass, { hidden: new Uint8Array(tokens * HIDDEN_BYTES) })
  for (let finished = false; !finished;) finished = batches.prepare({ kind: 'pass', pass })[0]!.execute().finished
  assert.equal(filled[0], 1024)
  const most = Math.max(...filled.slice(1).map((positions, i) => positions - filled[i]!))
  assert.equal(most, 1024)
  assert.equal(filled.at(-1), tokens)
  batches.drop(1)
  for (let length = 1; length < 30; length++) ropes.release(ropes.acquire(length, 128))
  assert.equal(ropes.size, 8)
})

test('runs of the rows that one client has in excess are put off until others have had theirs', () => {
  let now = 0
  const { device, loop, open, step } = newLoop({ now: () => now })
  // A run takes 5 ms and one more for each row.
  const run = device.run.bind(device)
  device.run = (batch) => {
    now += 5 + batch.pastLengths.length
    run(batch)
  }
  // The greedy client's rows lie far from the other one's.
  const greedy = [1, 2, 3, 4, 5, 6]
  for (const sequence of greedy) open(sequence, 128 * (20 + sequence))
  open(9, 0)
  const turns = (count: number): void => {
    for (let turn = 0; turn < count; turn++) {
      loop.turn()
      now += 1
    }
  }
  for (let round = 0; round < 12; round++) {
    for (const sequence of greedy.slice(0, 1 + (round % 6))) step(sequence, 0, 1, 'greedy')
    turns(50)
    now += 600
  }
  device.ran.length = 0
  for (const sequence of greedy) step(sequence, 0, 1, 'greedy')
  step(9, 0, 1, 'other')
  loop.turn()
  assert.deepEqual(
    device.ran.map(({ offset }) => offset),
    [0],
  )
  turns(50)
  const computed = device.ran.slice(1).reduce((sum, { pastLengths }) => sum + pastLengths.length, 0)
  assert.equal(computed, greedy.length)
})
