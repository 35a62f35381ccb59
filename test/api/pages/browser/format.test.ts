import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serveCommand } from '../../../../src/api/pages/browser/shared/format.ts'

test('the command that serves blocks joins this swarm, with the model as it is named on other machines', () => {
  for (const [model, command] of [
    ['demo', 'petals-node serve --blocks 3:6 --bootstrap ADDRESS'],
    ['org/name', 'petals-node serve --model org/name --blocks 3:6 --bootstrap ADDRESS'],
    ['my-llama', 'petals-node serve --model FOLDER --blocks 3:6 --bootstrap ADDRESS'],
  ] as const)
    assert.equal(serveCommand(model, '3:6'), command)
})
