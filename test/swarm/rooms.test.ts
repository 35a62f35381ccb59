import assert from 'node:assert/strict'
import { readFile, readdir } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'

const SWARM = new URL('../../src/swarm', import.meta.url).pathname

/** From the ground up, the files beside the rooms first: a room imports only from itself and those before it. */
const ROOMS = ['.', 'guards', 'frames', 'records', 'node']

async function filesOfSwarm(): Promise<{ file: string; imports: string[] }[]> {
  const files = (await readdir(SWARM, { recursive: true })).filter((file) => file.endsWith('.ts'))
  return await Promise.all(
    files.map(async (file) => {
      const text = await readFile(join(SWARM, file), 'utf8')
      const targets = [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map(([, target]) => target!)
      const imports = targets.map((target) => relative(SWARM, join(SWARM, dirname(file), target)))
      return { file, imports: imports.filter((target) => !target.startsWith('..')) }
    }),
  )
}

test('a room of the swarm imports only from the rooms before it, types included', async () => {
  const files = await filesOfSwarm()
  const wrong = files.flatMap(({ file, imports }) => {
    const room = ROOMS.indexOf(dirname(file))
    assert.ok(room >= 0, `${file} lies in no room`)
    return imports.filter((target) => ROOMS.indexOf(dirname(target)) > room).map((target) => `${file} -> ${target}`)
  })
  assert.ok(files.length > 20)
  assert.deepEqual(wrong, [])
})

test('no file of the swarm imports itself by way of others, types included', async () => {
  const imports = new Map((await filesOfSwarm()).map(({ file, imports }) => [file, imports]))
  const reaches = (from: string, seen = new Set<string>()): Set<string> => {
    for (const next of imports.get(from) ?? []) if (!seen.has(next)) reaches(next, seen.add(next))
    return seen
  }
  assert.deepEqual(
    [...imports.keys()].filter((file) => reaches(file).has(file)),
    [],
  )
})
