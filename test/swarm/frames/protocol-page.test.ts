import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { MESSAGES } from '../../../src/swarm/frames/messages.ts'
import { tablesOf } from './message-tables.ts'

const PAGE = new URL('../../../docs/protocol.md', import.meta.url)

test('docs/protocol.md has every message with every field, as the schema has them', async () => {
  const page = await readFile(PAGE, 'utf8')
  const found = [...page.matchAll(/^<!-- messages: ([\w ]+) -->\n((?:\|.*\n)+)/gm)].map(
    ([, name, table]) => [name!, table!.trimEnd()] as const,
  )
  const tables = tablesOf()
  assert.deepEqual(found.map(([name]) => name).toSorted(), [...tables.keys()].toSorted())
  for (const [name, table] of found) assert.equal(table, tables.get(name), `the table of ${name}`)
})

test('a probe is a forward pass, as the page says', () => {
  assert.equal(MESSAGES.probe, MESSAGES.forward)
})
