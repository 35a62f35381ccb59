import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { circlesOf, readImports } from './import-graph.ts'

/** From the ground up: a floor imports only from itself and the floors before it. */
const FLOORS = [
  'base',
  'tensor',
  'sampling',
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

/**
 * Of folders with rooms that stand on each other, the rooms from the ground up; '.' are the files beside them. A room
 * imports only from itself and the rooms before it.
 */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  engine: ['cache', 'loading', 'plan', 'adapters', 'ends', 'schedule', 'run', 'thread', 'session', '.'],
  checkpoint: ['files', 'config', 'weights', 'adapter', 'tokenizer', 'hub', '.'],
  'checkpoint/hub': ['.', 'remote', 'cache', 'download'],
  api: [
    'errors',
    'access',
    'queue',
    'models',
    'generating',
    'http',
    'openai',
    'anthropic',
    'tokens',
    'status',
    'metrics',
    'swarm-view',
    'pages',
    '.',
  ],
  swarm: ['.', 'guards', 'frames', 'records', 'node', 'status'],
  server: ['placement', 'rates', 'session', 'requests', 'announce', 'span', '.'],
  client: [
    'remote',
    'session',
    'pass',
    'blocks',
    'generation',
    'tuned',
    'chat',
    'training',
    'evaluation',
    'model',
    'verification',
    'prompt-cache',
    'chat-session',
    '.',
  ],
  families: ['parts', 'models', 'graphs'],
  cli: ['options', 'values', 'process', 'terminal', 'join', 'commands', '.', 'reference'],
  'client/remote': ['seen', 'routes', 'steps', 'adapters', '.'],
  'client/session': ['inputs', 'server', 'chain', 'steps', 'repair', '.'],
}

const imports = await readImports(new URL('../../src', import.meta.url).pathname)

test('no floor imports from a floor above it, nor from one it must not know', () => {
  const wrong: string[] = []
  for (const [file, targets] of imports) {
    const floor = file.split('/')[0]!
    // src/index.ts is what the package exports; it stands on everything.
    if (!file.includes('/')) continue
    assert.ok(FLOORS.includes(floor), `${file} stands on no floor`)
    for (const target of targets) {
      const below = target.split('/')[0]!
      const upwards = FLOORS.indexOf(below) > FLOORS.indexOf(floor)
      if (upwards || APART.some(([a, b]) => a === floor && b === below)) wrong.push(`${file} -> ${target}`)
    }
  }
  assert.ok(imports.size > 50)
  assert.deepEqual(wrong, [])
})

test('no room imports from a room above it', () => {
  const wrong: string[] = []
  for (const [folder, rooms] of Object.entries(ROOMS)) {
    const isIn = (file: string): boolean => file.startsWith(`${folder}/`)
    const roomOf = (file: string): number => {
      const [first, ...rest] = file.slice(folder.length + 1).split('/')
      return rooms.indexOf(rest.length > 0 ? first! : '.')
    }
    for (const [file, targets] of imports) {
      if (!isIn(file)) continue
      assert.ok(roomOf(file) >= 0, `${file} lies in no room`)
      for (const target of targets)
        if (isIn(target) && roomOf(target) > roomOf(file)) wrong.push(`${file} -> ${target}`)
    }
  }
  assert.deepEqual(wrong, [])
})

test('no files import one another in a circle, types included', () => {
  assert.deepEqual(circlesOf(imports), [])
})

test('a circle is found however long it is, and nothing else is', () => {
  const graph = {
    a: ['b', 'c', 'outside'],
    b: ['c'],
    c: [],
    one: ['two', 'c'],
    two: ['three'],
    three: ['one', 'four'],
    four: ['five', 'a'],
    five: ['four'],
    six: ['four', 'one'],
    self: ['self'],
  }
  assert.deepEqual(circlesOf(new Map(Object.entries(graph))), [['five', 'four'], ['one', 'three', 'two'], ['self']])
  // Two circles that share a file are one.
  assert.deepEqual(
    circlesOf(
      new Map([
        ['x', ['y', 'z']],
        ['y', ['x']],
        ['z', ['x']],
      ]),
    ),
    [['x', 'y', 'z']],
  )
  assert.deepEqual(
    circlesOf(
      new Map([
        ['x', ['y']],
        ['y', ['z']],
        ['z', []],
      ]),
    ),
    [],
  )
})

test('all ways to import a file count', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'petals-imports-'))
  t.after(() => rm(folder, { recursive: true }))
  await mkdir(join(folder, 'room'))
  const text = `import './a.ts'
import type { B } from '../b.ts'
export * from './c.ts'
import {
  d,
} from './d.ts'
const e = await import('../e.ts')
import { test } from 'node:test'
`
  await writeFile(join(folder, 'room', 'main.ts'), text)
  assert.deepEqual(
    await readImports(folder),
    new Map([['room/main.ts', ['room/a.ts', 'b.ts', 'room/c.ts', 'room/d.ts', 'e.ts']]]),
  )
})
