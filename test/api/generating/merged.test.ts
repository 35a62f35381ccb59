import assert from 'node:assert/strict'
import { test } from 'node:test'
import { merged } from '../../../src/api/generating/merged.ts'

/** Counts what is asked of it; ends when the signal is aborted. */
class Source {
  asked = 0
  isEnded = false

  async *run(values: readonly string[], signal: AbortSignal): AsyncGenerator<string, void> {
    try {
      for (const value of values) {
        this.asked += 1
        await Promise.resolve()
        if (signal.aborted) return
        yield value
      }
    } finally {
      this.isEnded = true
    }
  }
}

function make(counts: readonly number[]) {
  const stop = new AbortController()
  const sources = counts.map(() => new Source())
  const generators = counts.map((count, i) =>
    sources[i]!.run(
      Array.from({ length: count }, (_, j) => `${i}.${j}`),
      stop.signal,
    ),
  )
  return { stop, sources, generators }
}

test('all values come, those of one generator in order, and no more generators run than may', async () => {
  const { stop, sources, generators } = make([3, 0, 5, 1, 4])
  const found: string[] = []
  let most = 0
  for await (const value of merged(generators, 2, stop)) {
    found.push(value)
    most = Math.max(most, sources.filter(({ asked, isEnded }) => asked > 0 && !isEnded).length)
  }
  assert.equal(found.length, 13)
  for (const i of [0, 2, 3, 4]) {
    const own = found.filter((value) => value.startsWith(`${i}.`))
    assert.deepEqual(own, own.toSorted())
  }
  assert.ok(most <= 2, `${most} at once`)
})

test('a reader that takes its time is not run ahead of', async () => {
  const { stop, sources, generators } = make([10, 10])
  const reader = merged(generators, 2, stop)
  await reader.next()
  await new Promise((resolve) => setImmediate(resolve))
  assert.ok(sources.every(({ asked }) => asked <= 2))
  await reader.return()
})

test('when the reader stops, or one fails, all are told to stop and end', async () => {
  const { stop, sources, generators } = make([10, 10, 10])
  for await (const _ of merged(generators, 3, stop)) break
  assert.ok(stop.signal.aborted)
  assert.ok(sources.every(({ isEnded }) => isEnded))

  const other = make([10])
  const failing = (async function* (): AsyncGenerator<string, void> {
    yield 'one'
    throw new Error('broken')
  })()
  await assert.rejects(async () => {
    for await (const _ of merged([failing, ...other.generators], 2, other.stop));
  }, /broken/)
  assert.ok(other.stop.signal.aborted)
  assert.ok(other.sources[0]!.isEnded)
})
