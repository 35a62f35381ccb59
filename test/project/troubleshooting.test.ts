import assert from 'node:assert/strict'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'

const ROOT = new URL('../..', import.meta.url).pathname

/** Upper-case literals that are no error codes. */
const OTHERS = new Set([
  'TEST_WEBGPU_VALIDATION',
  'VK_DRIVER_FILES',
  'VK_ICD_FILENAMES',
  'PETALS_CUDA_LIBS',
  'PETALS_MDNS_INTERFACE',
  'CUDA_DEVICE_ORDER',
  'PCI_BUS_ID',
  'ORT_DISABLE_TELEMETRY',
  'ORT_USE_MLAS_Q4_GEMM_MOE',
  'F8_E4M3',
  'PER_TENSOR',
  'CAUSAL_LM',
  'JOINING',
  'ONLINE',
  'OFFLINE',
  'SIGINT',
  'SIGTERM',
  'SIGKILL',
  'SIGHUP',
])

/** Codes of one word, which no pattern tells from other words. */
const ONE_WORD = ['USAGE', 'TIMEOUT', 'REMOTE', 'INTERNAL', 'RUNTIME', 'DRAINING']

test('docs/troubleshooting.md lists exactly the error codes that exist', async () => {
  const files = (await readdir(join(ROOT, 'src'), { recursive: true })).filter((file) => file.endsWith('.ts'))
  const sources = await Promise.all(files.map((file) => readFile(join(ROOT, 'src', file), 'utf8')))
  const literals = sources.flatMap((text) =>
    [...text.matchAll(/'([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)'/g)].map(([, code]) => code!),
  )
  for (const code of ONE_WORD)
    assert.ok(
      sources.some((text) => text.includes(`'${code}'`)),
      `${code} is not used any more`,
    )
  const raised = new Set([...literals.filter((code) => !OTHERS.has(code)), ...ONE_WORD])

  const docs = await readFile(join(ROOT, 'docs/troubleshooting.md'), 'utf8')
  const cells = docs
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|')[1]!)
  const listed = new Set(cells.flatMap((cell) => [...cell.matchAll(/`([A-Z0-9_]+)`/g)].map(([, code]) => code!)))
  assert.deepEqual([...listed].sort(), [...raised].sort())
})
