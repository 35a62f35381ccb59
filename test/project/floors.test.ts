import assert from 'node:assert/strict'
import { readFile, readdir } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'

/** From the ground up: a floor imports only from itself and the floors before it. */
const FLOORS = [
  'base',
  'tensor',
  'checkpoint',
  'graph',
  'families',
  'runtime',
  'engine',
  'swarm',
  'server',
  'client',
  'api',
  'cli',
]

/** Neighbours that must not know each other, though one stands above the other: [floor, what it must not import]. */
const APART: readonly (readonly [string, string])[] = [
  ['swarm', 'engine'],
  ['swarm', 'runtime'],
  ['swarm', 'families'],
  ['swarm', 'graph'],
  ['swarm', 'checkpoint'],
  ['runtime', 'families'],
  ['runtime', 'graph'],
  ['runtime', 'checkpoint'],
  ['client', 'server'],
]

const SRC = new URL('../../src', import.meta.url).pathname

async function importsOf(file: string): Promise<string[]> {
  const text = await readFile(file, 'utf8')
  const found = text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)
  return [...found].map(([, target]) => relative(SRC, join(dirname(file), target!)))
}

test('no floor imports from a floor above it, nor from one it must not know', async () => {
  const files = (await readdir(SRC, { recursive: true })).filter((file) => file.endsWith('.ts'))
  const wrong: string[] = []
  for (const file of files) {
    const floor = file.split('/')[0]!
    // src/index.ts is what the package exports; it stands on everything.
    if (!file.includes('/')) continue
    assert.ok(FLOORS.includes(floor), `${file} stands on no floor`)
    for (const target of await importsOf(join(SRC, file))) {
      const below = target.split('/')[0]!
      const upwards = FLOORS.indexOf(below) > FLOORS.indexOf(floor)
      if (upwards || APART.some(([a, b]) => a === floor && b === below)) wrong.push(`${file} -> ${target}`)
    }
  }
  assert.ok(files.length > 50)
  assert.deepEqual(wrong, [])
})
