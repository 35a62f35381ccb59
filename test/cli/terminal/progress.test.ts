import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { ProgressView } from '../../../src/cli/terminal/progress.ts'

/** What is logged while a clock is moved by hand. */
function logged(): { view: ProgressView; lines: string[]; clock: { ms: number } } {
  const lines: string[] = []
  const clock = { ms: 1000 }
  const logger = pino(
    {},
    {
      write: (line: string) => {
        lines.push((JSON.parse(line) as { msg: string }).msg)
      },
    },
  )
  return { view: new ProgressView(logger, { now: () => clock.ms, isTerminal: false }), lines, clock }
}

test('a download is a line every few seconds, with rate and time left, and one at its end', () => {
  const { view, lines, clock } = logged()
  const update = view.download()
  for (let megabytes = 0; megabytes <= 20; megabytes++) {
    update({ file: 'model.safetensors', bytes: megabytes * 1e6, totalBytes: 20e6, downloadedBytes: megabytes * 1e6 })
    clock.ms += 700
  }
  assert.deepEqual(lines, [
    'downloading: 9.0 MB of 20.0 MB, 1.4 MB/s, 8 s left',
    'downloading: 17.0 MB of 20.0 MB, 1.4 MB/s, 2 s left',
    'downloading: 20.0 MB of 20.0 MB, 1.4 MB/s',
  ])
})

test('what takes a moment, or is here already, has no line', () => {
  const { view, lines, clock } = logged()
  view.download()({ file: 'a', bytes: 5, totalBytes: 5, downloadedBytes: 0 })
  const update = view.loading()
  for (let blocksLoaded = 1; blocksLoaded <= 4; blocksLoaded++) {
    clock.ms += 1000
    update({ blocksLoaded, numBlocks: 4 })
  }
  view.stop()
  assert.deepEqual(lines, [])
})

test('loading tells blocks and the time left', () => {
  const { view, lines, clock } = logged()
  const update = view.loading()
  update({ blocksLoaded: 1, numBlocks: 40 })
  clock.ms += 10_000
  update({ blocksLoaded: 10, numBlocks: 40 })
  assert.deepEqual(lines, ['loading: 10 of 40 blocks, 30 s left'])
})
