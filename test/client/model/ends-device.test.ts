import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AutoDistributedModelForCausalLM } from '../../../src/client/model/model.ts'
import { cudaProblems } from '../../../src/runtime/choose-device.ts'
import type { SwarmNode } from '../../../src/swarm/node/node.ts'
import { DEMO, startServers } from '../kit.ts'

const NO_CUDA = cudaProblems({ kind: 'cuda', index: 0 })
const bootstrap = ['/ip4/127.0.0.1/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp']

test('a device that there is not is refused before anything else, with all that is missing', async (context) => {
  await assert.rejects(AutoDistributedModelForCausalLM.fromPretrained('nowhere', { bootstrap, endsDevice: 'tpu' }), {
    code: 'USAGE',
    message: '--ends-device tpu: expected auto, cpu, cuda, cuda:N, webgpu or webgpu:N',
  })
  if (NO_CUDA.length === 0) return context.skip('this machine has CUDA')
  await assert.rejects(AutoDistributedModelForCausalLM.fromPretrained('nowhere', { bootstrap, endsDevice: 'cuda' }), {
    code: 'USAGE',
    message: `--ends-device cuda: ${NO_CUDA.join('; ')}`,
  })
})

test("auto is the device on which the caller's node serves", async (context) => {
  const swarm = await startServers(DEMO, [[0, 8]])
  const { node } = swarm.servers[0]!
  assert.equal(node.servingDevice, 'cpu')
  await swarm.stop()
  assert.equal(node.servingDevice, undefined)
  if (NO_CUDA.length === 0) return context.skip('this machine has CUDA')
  const onGpu = { servingDevice: 'cuda:1' } as SwarmNode
  await assert.rejects(AutoDistributedModelForCausalLM.fromPretrained(DEMO, { node: onGpu }), {
    code: 'USAGE',
    message: /^--ends-device cuda:1: /,
  })
})
