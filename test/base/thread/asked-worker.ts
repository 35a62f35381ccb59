import { workerData } from 'node:worker_threads'
import { PetalsError } from '../../../src/base/errors.ts'
import { Transferred, answerCalls } from '../../../src/base/thread/answer-calls.ts'

export interface AskedCalls {
  add(numbers: readonly number[]): number
  later(text: string): Promise<string>
  fill(request: { bytes: Uint8Array; value: number }): Uint8Array
  fail(code: string | undefined): never
  count(to: number, report: (at: number) => void): string
  answerFunction(nothing: undefined): unknown
  exit(code: number): never
  crash(nothing: undefined): Promise<never>
  forever(state: SharedArrayBuffer): never
}

answerCalls<AskedCalls>(() => {
  if (workerData === 'unusable') throw new PetalsError('TOO_BAD', 'not today')
  return {
    add: (numbers) => numbers.reduce((sum, number) => sum + number, 0),
    later: async (text) => {
      await new Promise((resolve) => setImmediate(resolve))
      return text.toUpperCase()
    },
    fill: ({ bytes, value }) => new Transferred(bytes.fill(value), [bytes.buffer as ArrayBuffer]),
    fail: (code) => {
      throw code === undefined ? new TypeError('plain') : new PetalsError(code, 'on purpose')
    },
    count: (to, report) => {
      for (let at = 1; at <= to; at++) report(at)
      return 'counted'
    },
    answerFunction: () => () => undefined,
    exit: (code) => process.exit(code),
    crash: () =>
      new Promise(() =>
        setImmediate(() => {
          throw new Error('out of the blue')
        }),
      ),
    forever: (state) => {
      Atomics.store(new Int32Array(state), 0, 1)
      Atomics.notify(new Int32Array(state), 0)
      for (;;);
    },
  }
})
