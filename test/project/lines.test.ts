import assert from 'node:assert/strict'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'

const ROOT = new URL('../..', import.meta.url).pathname
const MAX_CHARS = 120

test('no line is longer than 120 characters, also where the formatter breaks none', async () => {
  const long: string[] = []
  let numFiles = 0
  for (const folder of ['src', 'build', 'test', 'bench']) {
    const files = (await readdir(join(ROOT, folder), { recursive: true })).filter((file) => file.endsWith('.ts'))
    numFiles += files.length
    for (const file of files) {
      const lines = (await readFile(join(ROOT, folder, file), 'utf8')).split('\n')
      for (const [i, line] of lines.entries()) if (line.length > MAX_CHARS) long.push(`${folder}/${file}:${i + 1}`)
    }
  }
  assert.ok(numFiles > 100)
  assert.deepEqual(long, [])
})
