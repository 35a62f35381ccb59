import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'

const ROOT = new URL('../..', import.meta.url).pathname

/** Folders that files are named from: the floors of src/, and the repository's own. */
const FLOORS = new Set(await readdir(join(ROOT, 'src')))
const FOLDERS = new Set(['src', 'test', 'bench', 'build'])

/** The path in the repository of a file that a page names; undefined for what is named from elsewhere. */
function pathOf(name: string): string | undefined {
  const [first = ''] = name.split('/')
  if (FOLDERS.has(first)) return name
  return FLOORS.has(first) ? `src/${name}` : undefined
}

test('every file of the sources that a page of the docs names is there', async () => {
  const pages = (await readdir(join(ROOT, 'docs'))).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)
  const wrong: string[] = []
  let numNamed = 0
  for (const page of ['README.md', ...pages]) {
    const text = await readFile(join(ROOT, page), 'utf8')
    for (const [, name = ''] of text.matchAll(/`([a-z][\w.-]*(?:\/[\w.-]+)+\.ts)`/g)) {
      const path = pathOf(name)
      if (path === undefined) continue
      numNamed += 1
      if (!existsSync(join(ROOT, path))) wrong.push(`${page}: ${name}`)
    }
  }
  assert.ok(numNamed > 50, `${numNamed} files are named`)
  assert.deepEqual(wrong, [])
})
