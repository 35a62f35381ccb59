import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Scheduler } from '../../../src/engine/schedule/scheduler.ts'
import type { Batch, CacheStep, ForwardPass, Work } from '../../../src/engine/schedule/work.ts'

/** What a made-up device takes for a batch, in milliseconds. */
type Cost = (batch: Batch) => number

const PIECES = 4

/** A scheduler, a clock of its own, and a device that computes nothing but takes its time. */
class Machine {
  readonly scheduler = new Scheduler({ maxBatchRows: 4, prefillChunkTokens: 16 })
  readonly ran: { batch: Batch; began: number; ended: number }[] = []
  now = 0
  #nextTask = 1
  readonly #pieces = new Map<number, number>()
  readonly #cost: Cost

  constructor(cost: Cost = () => 1) {
    this.#cost = cost
  }

  step(client: string, sequence: number, { position = 0, tokens = 1, prompted = false } = {}): CacheStep {
    const taskId = this.#nextTask++
    const step = { kind: 'step', taskId, client, sequence, start: 0, end: 2, position, tokens, prompted } as const
    this.scheduler.add(step, this.now)
    return step
  }

  pass(client: string): ForwardPass {
    const taskId = this.#nextTask++
    const pass = { kind: 'forward', taskId, client, start: 0, end: 2, sequences: 1, tokens: 16 } as const
    this.scheduler.add(pass, this.now)
    return pass
  }

  /** One decision carried out: what was computed, or for how long to wait, which has passed then. */
  turn(): Batch | number {
    const decision = this.scheduler.schedule(this.now)
    if (decision.kind === 'wait') {
      if (Number.isFinite(decision.milliseconds)) this.now += decision.milliseconds
      return decision.milliseconds
    }
    const began = this.now
    const milliseconds = this.#cost(decision)
    this.now += milliseconds
    const { works, tokens, finished } = this.#outcome(decision)
    this.scheduler.commit({ works, tokens, finished, milliseconds }, this.now)
    this.ran.push({ batch: decision, began, ended: this.now })
    return decision
  }

  /** Until nothing waits any more. */
  drain(): Batch[] {
    const from = this.ran.length
    while (this.turn() !== Infinity);
    return this.ran.slice(from).map(({ batch }) => batch)
  }

  #outcome(batch: Batch): { works: readonly Work[]; tokens: number; finished: boolean } {
    if (batch.kind === 'decode') return { works: batch.steps, tokens: 1, finished: true }
    if (batch.kind === 'prefill') {
      const { step, first, tokens } = batch
      return { works: [step], tokens, finished: first + tokens === step.tokens }
    }
    const done = (this.#pieces.get(batch.pass.taskId) ?? 0) + 1
    this.#pieces.set(batch.pass.taskId, done)
    return { works: [batch.pass], tokens: batch.pass.tokens / PIECES, finished: done === PIECES }
  }
}

function clientsOf(batches: readonly Batch[]): string[] {
  return batches.map((batch) => {
    if (batch.kind === 'decode') return batch.steps.map(({ client }) => client).join('')
    return batch.kind === 'prefill' ? batch.step.client : batch.pass.client
  })
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

describe('a scheduler', () => {
  it('makes all decode steps that are ready one batch, then a chunk of a prefill', () => {
    const machine = new Machine()
    machine.step('a', 1, { tokens: 40 })
    for (const sequence of [2, 3, 4]) machine.step('a', sequence)
    machine.turn()
    machine.step('a', 2, { position: 1 })
    machine.drain()
    assert.deepEqual(
      machine.ran.map(({ batch }) => (batch.kind === 'prefill' ? [batch.first, batch.tokens] : batch.kind)),
      ['decode', [0, 16], 'decode', [16, 16], [32, 8]],
    )
    const decoded = machine.ran.flatMap(({ batch }) => (batch.kind === 'decode' ? [batch.steps.length] : []))
    assert.deepEqual(decoded, [3, 1])
  })

  it('computes short prompts of sessions that come together in one go, so that they decode in step', () => {
    const machine = new Machine()
    for (const sequence of [1, 2, 3]) machine.step('a', sequence, { tokens: 5 })
    machine.turn()
    // The first one's answer is there, and its next step comes while the others wait.
    machine.step('a', 1, { position: 5 })
    const kinds = machine.drain().map(({ kind }) => kind)
    assert.deepEqual(kinds, ['decode', 'prefill', 'prefill'])
  })

  it('never lets a decode step wait for more prompts than one chunk has tokens', () => {
    const machine = new Machine()
    machine.step('a', 1)
    machine.turn()
    for (let sequence = 2; sequence < 42; sequence++) machine.step('b', sequence, { tokens: sequence < 8 ? 5 : 1 })
    for (let sequence = 42; sequence < 48; sequence++) machine.step('b', sequence, { tokens: 24 })
    const waits: number[] = []
    for (let position = 1; position < 20; position++) {
      machine.step('a', 1, { position })
      let tokens = 0
      for (let batch = machine.turn(); ; batch = machine.turn()) {
        assert.notEqual(batch, Infinity)
        if (typeof batch === 'number') continue
        if (batch.kind === 'decode' && batch.steps.some(({ client }) => client === 'a')) break
        if (batch.kind === 'prefill') tokens += batch.tokens
      }
      waits.push(tokens)
    }
    assert.ok(Math.max(...waits) > 8 && Math.max(...waits) <= 16, waits.join())
  })

  it('computes short prompts of several clients in one go where none of them has had more than who waits', () => {
    const machine = new Machine()
    for (const [i, client] of ['a', 'b', 'c'].entries()) machine.step(client, i, { tokens: 5 })
    machine.turn()
    machine.step('a', 0, { position: 5 })
    machine.turn()
    machine.step('a', 0, { position: 6 })
    assert.deepEqual(clientsOf(machine.drain()), ['b', 'c', 'a'])
  })

  it('lets a client that sends short prompts without end have one for each step of those who have had less', () => {
    const machine = new Machine()
    let sequence = 2
    const send = (): CacheStep => machine.step('b', sequence++, { tokens: 2 })
    for (let i = 0; i < 20; i++) send()
    const prompts: number[] = []
    for (let position = 0; position < 20; position++) {
      machine.step('a', 1, { position })
      let between = 0
      for (let batch = machine.turn(); ; batch = machine.turn()) {
        assert.ok(typeof batch === 'object')
        if (batch.kind === 'decode') break
        between++
        send()
      }
      prompts.push(between)
    }
    assert.deepEqual(new Set(prompts.slice(1)), new Set([1]))
  })

  it('waits for no more companions than there is room for in a run', () => {
    const machine = new Machine((batch) => (batch.kind === 'decode' ? 10 * batch.steps.length : 1))
    // Runs of other sizes, by which it is learnt what a row takes.
    for (let round = 0; round < 8; round++) {
      for (let i = 0; i < 1 + (round % 4); i++) machine.step(`c${i}`, 100 + i, { position: round })
      machine.drain()
    }
    machine.now += 1000
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < 12; i++) machine.step(`b${i}`, i, { position: round })
      for (let run = 0; run < 3; run++) machine.turn()
      machine.now += 100
    }
    machine.step('a', 50)
    const waited = machine.now
    while (typeof machine.turn() === 'number');
    assert.ok(machine.now - waited <= 1.5 * 40 + 10, `${machine.now - waited} ms`)
  })

  it('computes a step with deep prompts alone, however short it is', () => {
    const machine = new Machine()
    machine.step('a', 1, { prompted: true })
    machine.step('a', 2)
    assert.deepEqual(
      machine
        .drain()
        .map(({ kind }) => kind)
        .toSorted(),
      ['decode', 'prefill'],
    )
  })

  it('takes turns among the prefills of one client', () => {
    const machine = new Machine()
    const [first, second] = [machine.step('a', 1, { tokens: 32 }), machine.step('a', 2, { tokens: 32 })]
    const order = machine.drain().map((batch) => (batch.kind === 'prefill' ? batch.step.taskId : 0))
    assert.deepEqual(order, [first.taskId, second.taskId, first.taskId, second.taskId])
  })

  it('gives each client as many tokens, however many sequences it has', () => {
    const machine = new Machine()
    for (let sequence = 0; sequence < 8; sequence++) machine.step('a', sequence, { tokens: 32 })
    machine.step('b', 100, { tokens: 64 })
    const turns = clientsOf(machine.drain())
    assert.deepEqual(turns.slice(0, 8), ['a', 'b', 'a', 'b', 'a', 'b', 'a', 'b'])
    assert.equal(turns.length, 16 + 4)
  })

  it('has a client pay for copies of caches as for what could have been computed meanwhile', () => {
    const machine = new Machine()
    machine.step('a', 1, { tokens: 48 })
    machine.step('b', 2, { tokens: 80 })
    machine.turn()
    // A chunk of 16 tokens takes 1 ms.
    machine.scheduler.copied('a', 2)
    assert.equal(clientsOf(machine.drain()).join(''), 'bbbabab')
  })

  it('lets nobody save up turns, and makes nobody pay for what it had while it was alone', () => {
    const machine = new Machine()
    machine.step('a', 1, { tokens: 16 * 50 })
    machine.drain()
    machine.step('a', 1, { position: 800, tokens: 64 })
    machine.step('b', 2, { tokens: 64 })
    const turns = clientsOf(machine.drain())
    assert.deepEqual([turns.slice(0, 4).filter((client) => client === 'a').length], [2])
  })

  it('remembers nothing of what clients had once nobody waits any more', () => {
    const machine = new Machine()
    machine.step('a', 1, { tokens: 16 * 50 })
    machine.drain()
    assert.equal(machine.turn(), Infinity)
    machine.step('a', 1, { position: 800, tokens: 32 })
    machine.step('b', 2, { tokens: 32 })
    assert.deepEqual(clientsOf(machine.drain()), ['a', 'b', 'a', 'b'])
  })

  it('shares the rows of a batch among clients where there are more steps than rows', () => {
    const machine = new Machine()
    for (let sequence = 0; sequence < 8; sequence++) machine.step('a', sequence)
    for (let sequence = 8; sequence < 10; sequence++) machine.step('b', sequence)
    assert.deepEqual(
      clientsOf(machine.drain()).map((clients) => [...clients].toSorted().join('')),
      ['aabb', 'aaaa', 'aa'],
    )
  })

  it('forgets what was cancelled, and whatever waits for a sequence that is over', () => {
    const machine = new Machine()
    const pass = machine.pass('a')
    const [kept, released] = [machine.step('a', 1), machine.step('a', 2)]
    machine.scheduler.cancel(pass.taskId)
    assert.deepEqual(machine.scheduler.release(2), [released.taskId])
    const [batch, ...others] = machine.drain()
    assert.deepEqual(batch, { kind: 'decode', steps: [kept] })
    assert.equal(others.length, 0)
  })

  it('drops a task whose run failed and goes on with others', () => {
    const machine = new Machine()
    machine.step('a', 1, { tokens: 32 })
    const decision = machine.scheduler.schedule(0)
    assert.ok(decision.kind === 'prefill')
    machine.scheduler.fail({ works: [decision.step], milliseconds: 1 }, 1)
    machine.step('a', 2)
    assert.deepEqual(
      machine.drain().map(({ kind }) => kind),
      ['decode'],
    )
  })

  it('waits for nothing but a command where nothing is left', () => {
    assert.deepEqual(new Scheduler({ maxBatchRows: 1, prefillChunkTokens: 1 }).schedule(0), {
      kind: 'wait',
      milliseconds: Infinity,
    })
  })
})

describe('passes beside inference', () => {
  it('run at once while nothing else does, one of a client after the other', () => {
    const machine = new Machine()
    const [first, second] = [machine.pass('a'), machine.pass('a')]
    const order = machine.drain().map((batch) => (batch.kind === 'pass' ? batch.pass.taskId : 0))
    assert.deepEqual(order, [...Array<number>(PIECES).fill(first.taskId), ...Array<number>(PIECES).fill(second.taskId)])
  })

  for (const [device, pieceMs] of [
    ['short pieces', 2],
    ['pieces longer than a step', 12],
  ] as const) {
    it(`get a tenth of the time beside steady decoding, which takes at most 1.3 times as long: ${device}`, () => {
      const stepMs = 4
      const pauseMs = 2
      const latencies: Record<'alone' | 'beside', number[]> = { alone: [], beside: [] }
      let share = 0
      for (const kind of ['alone', 'beside'] as const) {
        const machine = new Machine((batch) => (batch.kind === 'decode' ? stepMs : pieceMs))
        if (kind === 'beside') for (let i = 0; i < 1000; i++) machine.pass('b')
        let asked = 0
        for (let position = 0; machine.now < 5000; position++) {
          asked = machine.now
          const step = machine.step('a', 1, { position })
          const isDone = () =>
            machine.ran.some(
              ({ batch }) => batch.kind === 'decode' && batch.steps.some(({ taskId }) => taskId === step.taskId),
            )
          while (!isDone()) machine.turn()
          latencies[kind].push(machine.now - asked)
          // What the client does until its next step; the device may go on meanwhile.
          const next = machine.now + pauseMs
          while (machine.now < next) {
            const before = machine.now
            if (typeof machine.turn() === 'number') machine.now = Math.min(next, before + 0.1)
          }
          machine.ran.splice(0, Math.max(0, machine.ran.length - 50)).forEach(({ batch, began, ended }) => {
            if (batch.kind === 'pass') share += (ended - began) / 5000
          })
        }
      }
      assert.ok(share > 0.1, `${share} of the time`)
      assert.ok(mean(latencies.beside) < 1.3 * mean(latencies.alone), `${mean(latencies.beside)} ms a step`)
    })
  }

  it('take all the time again once inference has been quiet for a moment', () => {
    const machine = new Machine((batch) => (batch.kind === 'pass' ? 10 : 1))
    machine.step('a', 1)
    machine.turn()
    machine.pass('b')
    machine.pass('b')
    machine.drain()
    assert.equal(machine.ran.filter(({ batch }) => batch.kind === 'pass').length, 2 * PIECES)
    assert.ok(machine.now < 300, `${machine.now} ms`)
  })
})

describe('decode steps that come together', () => {
  it('are waited for, for a moment', () => {
    const machine = new Machine(() => 8)
    const sequences = [1, 2, 3]
    for (let round = 0; round < 5; round++) {
      for (const sequence of sequences) machine.step('a', sequence, { position: round })
      machine.drain()
      machine.now += 1
    }
    machine.step('a', 1, { position: 5 })
    const wait = machine.scheduler.schedule(machine.now)
    assert.ok(wait.kind === 'wait' && wait.milliseconds > 0 && wait.milliseconds <= 12, JSON.stringify(wait))
    for (const sequence of [2, 3]) machine.step('a', sequence, { position: 5 })
    const decision = machine.scheduler.schedule(machine.now)
    assert.ok(decision.kind === 'decode' && decision.steps.length === 3)
  })

  it('are expected by when they came, not by when a run let them in', () => {
    const { scheduler } = new Machine()
    const step = { kind: 'step', client: 'a', start: 0, end: 2, position: 0, tokens: 1, prompted: false } as const
    let doneAt = 0
    for (let round = 0; round < 8; round++) {
      // Each came a millisecond after its answer, while the device was busy for long.
      const now = doneAt + 40
      for (const sequence of [1, 2]) scheduler.add({ ...step, taskId: sequence, sequence }, now, doneAt + 1)
      const decision = scheduler.schedule(now)
      assert.ok(decision.kind === 'decode')
      doneAt = now + 4
      scheduler.commit({ works: decision.steps, tokens: 1, finished: true, milliseconds: 4 }, doneAt)
    }
    scheduler.add({ ...step, taskId: 3, sequence: 1 }, doneAt + 1)
    const wait = scheduler.schedule(doneAt + 1)
    assert.ok(wait.kind === 'wait' && wait.milliseconds <= 6, JSON.stringify(wait))
  })

  it('are waited for as long as a run of them all is worth, also by one that has come to be alone', () => {
    const { scheduler } = new Machine()
    const step = { kind: 'step', client: 'a', start: 0, end: 2, position: 0, tokens: 1, prompted: false } as const
    let now = 0
    const round = (sequences: readonly number[]): void => {
      for (const sequence of sequences) scheduler.add({ ...step, taskId: sequence, sequence }, now)
      let decision = scheduler.schedule(now)
      if (decision.kind === 'wait') decision = scheduler.schedule((now += decision.milliseconds))
      assert.ok(decision.kind === 'decode' && decision.steps.length === sequences.length)
      const milliseconds = 1 + sequences.length
      scheduler.commit({ works: decision.steps, tokens: 1, finished: true, milliseconds }, (now += milliseconds))
      now += 4
    }
    for (let i = 0; i < 10; i++) round([1, 2, 3, 4])
    // One of them gets ahead: its run was short, but a run of all takes 5 ms.
    round([1])
    scheduler.add({ ...step, taskId: 1, sequence: 1 }, now)
    const wait = scheduler.schedule(now)
    assert.equal(wait.kind, 'decode', 'the others have stopped by now')
    for (let i = 0; i < 10; i++) round([1, 2, 3, 4])
    scheduler.add({ ...step, taskId: 1, sequence: 1 }, now - 1)
    const again = scheduler.schedule(now - 1)
    assert.ok(again.kind === 'wait' && again.milliseconds > 1.5 * 2 && again.milliseconds <= 1.5 * 5)
  })

  it('are not waited for when they have stopped, nor where one comes alone', () => {
    const machine = new Machine(() => 8)
    for (let round = 0; round < 5; round++)
      for (const sequence of [1, 2]) {
        machine.step('a', sequence, { position: round })
        machine.drain()
      }
    machine.scheduler.release(2)
    machine.now += 100
    machine.step('a', 1, { position: 5 })
    assert.equal(machine.scheduler.schedule(machine.now).kind, 'decode')
  })

  it('are not waited for when they are expected only later than a run may wait', () => {
    const machine = new Machine(() => 4)
    for (let round = 0; round < 8; round++) {
      machine.step('a', 1, { position: 2 * round })
      machine.drain()
      machine.now += 1
      machine.step('a', 1, { position: 2 * round + 1 })
      machine.step('b', 2, { position: round })
      machine.drain()
      machine.now += 40
    }
    machine.step('a', 1, { position: 20 })
    assert.equal(machine.scheduler.schedule(machine.now).kind, 'decode')
  })
})
