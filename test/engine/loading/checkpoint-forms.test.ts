import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { maxError } from '../../families/support.ts'
import { logitsAfter } from './logits.ts'

const FOLDER = join(import.meta.dirname, '../../fixtures-checkpoints')

interface Expected {
  readonly input_ids: readonly number[]
  readonly logits: readonly number[]
}

describe('a checkpoint in a form that people have means what transformers makes of it', () => {
  for (const name of readdirSync(FOLDER)) {
    it(name, async () => {
      const { input_ids: ids, logits } = JSON.parse(
        await readFile(join(FOLDER, name, 'expected.json'), 'utf8'),
      ) as Expected
      const error = maxError(await logitsAfter(join(FOLDER, name), ids), Float32Array.from(logits))
      assert.ok(error < 2e-5, `${error}`)
    })
  }
})
