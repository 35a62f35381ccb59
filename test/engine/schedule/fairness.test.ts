import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Scheduler } from '../../../src/engine/schedule/scheduler.ts'
import type { CacheStep, DecodeBatch } from '../../../src/engine/schedule/work.ts'

/** A server and its clients, in milliseconds. */
interface Place {
  /** What a run takes, and each row beside that. */
  readonly runMs: number
  readonly rowMs: number
  /** From a step's answer to the next step. */
  readonly pauseMs: number
  /** Whether the greedy client's rows are runs of their own. */
  readonly isApart: boolean
}

const SIMULATED_MS = 4000

/** Tokens of clients with so many sequences each, after the scheduler has learnt for as long again. */
function tokensOf(sessions: readonly number[], { runMs, rowMs, pauseMs, isApart }: Place): number[] {
  const scheduler = new Scheduler({ maxBatchRows: 64, prefillChunkTokens: 256 })
  const tokens = sessions.map(() => 0)
  const greedy = String(sessions.length - 1)
  let now = 0
  let taskId = 0
  /** Steps on their way, by when they come. */
  const coming: { at: number; step: Omit<CacheStep, 'taskId'> }[] = []
  for (const [client, count] of sessions.entries())
    for (let i = 0; i < count; i++) {
      const step = { kind: 'step', client: String(client), sequence: 100 * client + i, start: 0, end: 2 } as const
      // The others come while the greedy one is at it.
      coming.push({
        at: String(client) === greedy ? i : 500 + client,
        step: { ...step, position: 0, tokens: 1, prompted: false },
      })
    }

  let state = 1
  /** From 0.7 to 1.3 times as long, and now and then three times. */
  const irregularity = (): number => {
    state = (state * 48_271) % 0x7fffffff
    return state % 20 === 0 ? 3 : 0.7 + 0.6 * ((state >> 8) % 1000) * 0.001
  }

  const take = (): void => {
    coming.sort((a, b) => a.at - b.at)
    while (coming.length > 0 && coming[0]!.at <= now) {
      const { at, step } = coming.shift()!
      scheduler.add({ ...step, taskId: ++taskId }, now, at)
    }
  }
  const run = (steps: readonly CacheStep[]): void => {
    const milliseconds = runMs + rowMs * steps.length
    now += milliseconds
    scheduler.commit({ works: steps, tokens: 1, finished: true, milliseconds }, now)
    for (const step of steps) {
      if (now > SIMULATED_MS) tokens[Number(step.client)]! += 1
      coming.push({ at: now + pauseMs * irregularity(), step })
    }
  }
  const decode = ({ steps, deferrable }: DecodeBatch): void => {
    const [own, others] = [true, false].map((is) => steps.filter(({ client }) => (client === greedy) === is))
    const runs = (isApart ? [others!, own!] : [steps]).filter(({ length }) => length > 0)
    if (deferrable === undefined) return runs.forEach(run)
    scheduler.putBack(runs.slice(1).flat(), now)
    run(runs[0]!)
  }
  while (now < 2 * SIMULATED_MS) {
    take()
    const decision = scheduler.schedule(now)
    if (decision.kind === 'decode') decode(decision)
    else if (decision.kind === 'wait') now = Math.min(now + decision.milliseconds, coming[0]!.at)
  }
  return tokens
}

for (const [name, place] of Object.entries({
  'runs as long as pauses': { runMs: 4, rowMs: 0.15, pauseMs: 6, isApart: false },
  'runs of their own': { runMs: 4, rowMs: 0.15, pauseMs: 6, isApart: true },
  'rows that cost as much as runs': { runMs: 2, rowMs: 1, pauseMs: 3, isApart: false },
  'long runs': { runMs: 40, rowMs: 2, pauseMs: 5, isApart: false },
  'long pauses': { runMs: 4, rowMs: 0.5, pauseMs: 40, isApart: true },
}))
  test(`beside a client of 32 sessions others keep four fifths of what they have beside one of one: ${name}`, () => {
    const alike = tokensOf([1, 1, 1, 1, 1], place)
    const beside = tokensOf([1, 1, 1, 1, 32], place)
    const share = alike.reduce((sum, tokens) => sum + tokens, 0) / alike.length
    const figures = `${alike.join()} and ${beside.join()}`
    for (const tokens of beside.slice(0, -1)) assert.ok(tokens >= 0.8 * share, figures)
    assert.ok(beside.at(-1)! >= 0.8 * share, `the greedy client has less than its own share: ${figures}`)
  })
