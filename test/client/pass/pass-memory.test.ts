import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { PassMemory } from '../../../src/client/pass/pass-memory.ts'
import type { PassOptions } from '../../../src/client/pass/pass-plan.ts'
import { forwardPass, recordedPass } from '../../../src/client/pass/remote-pass.ts'
import { asFloat32 } from '../../../src/tensor/tensor.ts'
import { NUM_BLOCKS, ToySwarm, backward, batch } from './swarm.ts'

const ALL = { start: 0, end: NUM_BLOCKS, recoveryTimeoutMs: 2000 } satisfies PassOptions

describe('what passes keep is bounded', () => {
  it('beyond the bound a pass fails by name and gives back what it took', async (t) => {
    const swarm = new ToySwarm(t)
    const [first, last] = [swarm.serve(0, 3), swarm.serve(3, 6)]
    const hidden = batch(4, 8)
    const { byteLength } = hidden.data
    swarm.passMemory = new PassMemory(3 * byteLength)
    const pass = await recordedPass(swarm, hidden, ALL)
    assert.equal(swarm.passMemory.bytes, 2 * byteLength)
    // There is room for what comes in, and none for what goes on to the second server.
    const refused = { code: 'PASS_MEMORY', message: /make smaller batches.*or release passes/ }
    await assert.rejects(recordedPass(swarm, hidden, ALL), refused)
    assert.equal(swarm.passMemory.bytes, 2 * byteLength)
    const before = [...first.computed, ...last.computed].length
    await assert.rejects(recordedPass(swarm, batch(8, 8), ALL), refused)
    assert.equal([...first.computed, ...last.computed].length, before)
    const gradients = await pass.backward(hidden)
    assert.deepEqual(asFloat32(gradients.hidden), asFloat32(backward(hidden, 0, 6, undefined).hidden))
    // A pass that nobody asks for gradients keeps nothing.
    await forwardPass(swarm, batch(16, 8), ALL)
    pass.release()
    assert.equal(swarm.passMemory.bytes, 0)
    using again = await recordedPass(swarm, hidden, ALL)
    assert.equal(again.bytes, 2 * byteLength)
  })

  it('also where it ends in the middle', async (t) => {
    const swarm = new ToySwarm(t)
    swarm.serve(0, 3)
    swarm.passMemory = new PassMemory(1 << 20)
    await assert.rejects(recordedPass(swarm, batch(4, 8), ALL))
    assert.equal(swarm.passMemory.bytes, 0)
  })
})
