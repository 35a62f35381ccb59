import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ServerChoice, type ServerChoiceOptions } from '../../../../src/client/remote/routes/server-choice.ts'
import { loadIdentity } from '../../../../src/swarm/node/identity.ts'
import { createSwarmNode } from '../../../../src/swarm/node/node.ts'
import { recordOf, silent } from '../../../swarm/kit.ts'

const choice = (options: ServerChoiceOptions) => new ServerChoice(options, 'bfloat16')

async function newPeerId(): Promise<string> {
  return (await createSwarmNode({ identity: await loadIdentity(), logger: silent })).peerId
}

test('only allowed servers are used, never blocked ones, and a name that is no peer id is refused', async () => {
  const [a, b, c] = [await newPeerId(), await newPeerId(), await newPeerId()]
  const records = [a, b, c].map((peerId) => recordOf(peerId))
  const chosen = (options: ServerChoiceOptions) =>
    choice(options)
      .among(records)
      .map(({ peerId }) => peerId)
  assert.deepEqual(chosen({}), [a, b, c])
  assert.deepEqual(chosen({ allowedServers: [a, b], blockedServers: [b] }), [a])
  assert.deepEqual(chosen({ blockedServers: [c] }), [a, b])
  assert.throws(() => chosen({ blockedServers: ['nobody'] }), { code: 'USAGE', message: /nobody/ })
})

test('servers are chosen by their arithmetic, and those that are left out for it are counted', () => {
  const forms = {
    exact: {},
    half: { dtype: 'bfloat16' },
    other: { dtype: 'float16' },
    int4: { quant: 'int4' },
    gptq: { quant: 'gptq' },
    again: { quant: 'fp8 int8' },
    cache: { kvDType: 'int8' },
  }
  const records = Object.entries(forms).map(([peerId, form]) =>
    recordOf(peerId, { dtype: 'float32', quant: 'none', ...form }),
  )
  const chosen = (options: ServerChoiceOptions) =>
    choice(options)
      .among(records)
      .map(({ peerId }) => peerId)
  assert.deepEqual(chosen({}), Object.keys(forms))
  assert.deepEqual(chosen({ exact: true }), ['exact', 'half', 'gptq'])
  assert.deepEqual(chosen({ quant: 'int4' }), ['int4'])
  assert.deepEqual(chosen({ dtype: 'bfloat16', exact: true }), ['half'])
  assert.equal(
    choice({ quant: 'none', dtype: 'float32' }).leftOut(records.slice(0, 4)),
    '; left out: 3 in bfloat16, float16, float32/int4, by quant, dtype',
  )
  assert.equal(choice({}).leftOut(records), '')
})
