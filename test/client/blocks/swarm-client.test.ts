import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PetalsError } from '../../../src/base/errors.ts'
import { SwarmClient } from '../../../src/client/blocks/swarm-client.ts'
import { silent, startNode } from '../../swarm/kit.ts'

test('a ban is longer each time, and forgotten once the server has worked again or not failed for long', async (t) => {
  const node = await startNode(t)
  const client = await SwarmClient.connect({ bootstrap: [], node, modelKey: 'm', numBlocks: 1, logger: silent })
  t.after(() => client.close())
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() })
  const lost = new PetalsError('SESSION_LOST', 'gone')
  const banSeconds = (): number => {
    client.avoid('peer', lost)
    let seconds = 0
    for (; client.avoided().has('peer'); seconds++) t.mock.timers.tick(1000)
    return seconds
  }
  assert.deepEqual([banSeconds(), banSeconds(), banSeconds()], [15, 30, 60])
  client.worked('peer')
  assert.equal(banSeconds(), 15)
  assert.equal(banSeconds(), 30)
  client.avoid('peer', lost)
  client.worked('peer')
  assert.ok(client.avoided().has('peer'), 'a ban under way stands')
  t.mock.timers.tick(60 * 60_000)
  assert.equal(banSeconds(), 15)
})
