import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ON_WEBGPU, PATIENTLY } from '../webgpu.ts'
import { fixture, verify } from './verify-kit.ts'

test(
  'servers are started in the dtype that is asked for, and held to its limits',
  { ...ON_WEBGPU, ...PATIENTLY },
  async () => {
    const args = ['--model', fixture('llama'), '--cuts', '1', '--device', 'webgpu', '--dtype', 'float16']
    const { code, rows, stderr } = await verify(...args)
    assert.equal(code, 0, stderr)
    const outputs = rows.filter(({ tensor }) => /^block\d_output$/.test(tensor))
    assert.ok(outputs.length >= 3)
    for (const row of outputs) assert.partialDeepStrictEqual(row, { ok: true, toleranceFor: 'float16' })
    // Closer than that only float32 is.
    assert.ok(outputs.every(({ maxAbs }) => maxAbs! > 2e-4))
  },
)
