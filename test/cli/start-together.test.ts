import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ReadyReport } from '../../src/cli/process/ready-file.ts'
import { join } from 'node:path'
import { LOOPBACK, readJson, start, tempFolder, until } from './kit.ts'

test('servers that start at once share the blocks out instead of taking the same ones', async (t) => {
  const folder = await tempFolder(t)
  const ready = (name: string) =>
    until(`${name} to be ready`, () => readJson<ReadyReport>(join(folder, `${name}.json`)), 180_000)
  const launch = (command: string, name: string, ...args: string[]) =>
    start(t, [command, ...LOOPBACK, '--ready-file', join(folder, `${name}.json`), ...args])
  launch('bootstrap', 'bootstrap')
  const { multiaddrs } = await ready('bootstrap')
  const names = ['one', 'two']
  const serve = ['--num-blocks', '4', '--threads', '1', '--attn-cache-tokens', '512', '--throughput', '10']
  for (const name of names) launch('serve', name, ...serve, '--bootstrap', multiaddrs[0]!)
  const reports = await Promise.all(names.map(ready))
  assert.deepEqual(reports.map(({ blocks }) => blocks).toSorted(), ['0:4', '4:8'])
})
