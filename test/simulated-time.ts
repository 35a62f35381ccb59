import { syncBuiltinESMExports } from 'node:module'
import { type TestContext, mock } from 'node:test'

/** How many turns of the event loop a millisecond has. */
const TURNS_PER_MS = 4

let isSimulated = false

/**
 * From now to the end of the test, time passes with the turns of the event loop: the tests of what takes seconds take
 * none, and a busy machine makes nothing late. For tests in which all that is waited for is timers and other turns.
 */
export function simulateTime(t: TestContext): void {
  if (isSimulated) return
  isSimulated = true
  let now = performance.now()
  let turns = 0
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: Date.now() })
  const { mock: clock } = mock.method(performance, 'now', () => now)
  // Modules that import timers by name get these, too.
  syncBuiltinESMExports()
  const turn = (): void => {
    now += 1 / TURNS_PER_MS
    if (++turns % TURNS_PER_MS === 0) mock.timers.tick(1)
    next = setImmediate(turn)
  }
  let next = setImmediate(turn)
  t.after(() => {
    clearImmediate(next)
    mock.timers.reset()
    clock.restore()
    syncBuiltinESMExports()
    isSimulated = false
  })
}
