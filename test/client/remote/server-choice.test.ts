import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ServerChoice } from '../../../src/client/remote/server-choice.ts'
import { loadIdentity } from '../../../src/swarm/node/identity.ts'
import { createSwarmNode } from '../../../src/swarm/node/node.ts'
import { recordOf, silent } from '../../swarm/kit.ts'

async function newPeerId(): Promise<string> {
  return (await createSwarmNode({ identity: await loadIdentity(), logger: silent })).peerId
}

test('only allowed servers are used, never blocked ones, and a name that is no peer id is refused', async () => {
  const [a, b, c] = [await newPeerId(), await newPeerId(), await newPeerId()]
  const records = [a, b, c].map((peerId) => recordOf(peerId))
  const chosen = (options: ConstructorParameters<typeof ServerChoice>[0]) =>
    new ServerChoice(options).among(records).map(({ peerId }) => peerId)
  assert.deepEqual(chosen({}), [a, b, c])
  assert.deepEqual(chosen({ allowedServers: [a, b], blockedServers: [b] }), [a])
  assert.deepEqual(chosen({ blockedServers: [c] }), [a, b])
  assert.throws(() => chosen({ blockedServers: ['nobody'] }), { code: 'USAGE', message: /nobody/ })
})
