import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { readImports } from './import-graph.ts'

const SRC = new URL('../../src', import.meta.url).pathname

/** What other rooms may use of the room that knows derivatives. */
const ENTRIES = ['add-gradients.ts', 'split-at-gradient.ts', 'saved-bytes.ts'].map((file) => `graph/gradient/${file}`)

/** Files of `graph/` that the engine may use: none of them has a graph compute anything more. */
const NOTHING_MORE = [
  'builder',
  'chain',
  'dim-size',
  'encode',
  'gradient-names',
  'lora',
  'lora-names',
  'lowering',
  'parameter',
  'skip-norm',
  'value',
]

const imports = await readImports(SRC)

test('derivatives are known in graph/gradient alone: no other room looks into it', () => {
  const room = 'graph/gradient/'
  assert.ok(ENTRIES.every((entry) => imports.has(entry)))
  const wrong = [...imports].flatMap(([file, targets]) =>
    file.startsWith(room)
      ? []
      : targets
          .filter((target) => target.startsWith(room) && !ENTRIES.includes(target))
          .map((to) => `${file} -> ${to}`),
  )
  assert.deepEqual(wrong, [])
})

test('no family writes a derivative: gradients in families/ come from addGradients', async () => {
  const wrong: string[] = []
  const files = [...imports.keys()].filter((file) => file.startsWith('families/'))
  for (const file of files)
    if (speaksOfDerivatives(await code(file)) && !imports.get(file)!.includes(ENTRIES[0]!)) wrong.push(file)
  assert.ok(files.length > 20)
  assert.deepEqual(wrong, [])
})

test('the engine has graphs compute nothing more, gradients or others', () => {
  const allowed = new Set([...NOTHING_MORE.map((name) => `graph/${name}.ts`), 'graph/gradient/saved-bytes.ts'])
  const wrong = [...imports]
    .filter(([file]) => file.startsWith('engine/'))
    .flatMap(([file, targets]) =>
      targets.filter((to) => to.startsWith('graph/') && !allowed.has(to)).map((to) => `${file} -> ${to}`),
    )
  assert.deepEqual(wrong, [])
})

test('the words of a derivative count in code and not in comments', () => {
  assert.ok(speaksOfDerivatives('const hiddenGradient = mul(g, output, slope)'))
  assert.ok(speaksOfDerivatives('export function backwardOf(g: Graph) {}'))
  assert.ok(!speaksOfDerivatives(withoutComments('/** Has a gradient. */\nconst x = 1 // no derivative')))
})

async function code(file: string): Promise<string> {
  return withoutComments(await readFile(join(SRC, file), 'utf8'))
}

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
}

function speaksOfDerivatives(text: string): boolean {
  return /gradient|derivative|backward|adjoint/i.test(text)
}
