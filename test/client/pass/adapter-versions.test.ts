import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { before, describe, it } from 'node:test'
import type { Adapter } from '../../../src/checkpoint/adapter/adapter.ts'
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import type { ModelConfig } from '../../../src/checkpoint/config/config.ts'
import { type RemotePass, recordedPass } from '../../../src/client/pass/remote-pass.ts'
import { AdapterVersions, type ModulePair } from '../../../src/client/remote/adapters/adapter-versions.ts'
import { PetalsError } from '../../../src/base/errors.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../../../src/tensor/tensor.ts'
import { ToySwarm, batch } from './swarm.ts'

const DEMO = new URL('../../../models/demo', import.meta.url).pathname
const RANK = 2

function name(block: number): string {
  return `model.layers.${block}.self_attn.q_proj`
}

function filled(value: number, shape: readonly number[]): Tensor {
  return fromFloat32(new Float32Array(shape[0]! * shape[1]!).fill(value), shape)
}

function pair(value: number): ModulePair {
  return { a: filled(value, [RANK, 256]), b: filled(value, [256, RANK]) }
}

function adapterOf(blocks: readonly number[]): Adapter {
  return { name: 'mine', modules: blocks.map((block) => ({ name: name(block), scaling: 1, ...pair(block) })) }
}

function passes(swarm: ToySwarm, versions: AdapterVersions): Promise<RemotePass> {
  return recordedPass(swarm, batch(8, 256), { start: 0, end: 6, adapter: versions.newest, recoveryTimeoutMs: 2000 })
}

describe('an adapter that is trained', () => {
  let config: ModelConfig
  before(async () => {
    ;({ config } = await openCheckpoint(DEMO))
  })

  it('goes to each server once, for all pieces, and then only what has changed', async (t) => {
    const swarm = new ToySwarm(t)
    const [first, second] = [swarm.serve(0, 3), swarm.serve(3, 6)]
    const versions = new AdapterVersions(adapterOf([0, 1, 2, 4, 7]), config)
    ;(await passes(swarm, versions)).release()
    assert.deepEqual([first.uploads, second.uploads], [[[name(0), name(1), name(2)]], [[name(4)]]])

    const changed = pair(9)
    await versions.update(new Map([[name(1), changed]]))
    // What was given may be changed by the next step.
    asFloat32(changed.a).fill(0)
    ;(await passes(swarm, versions)).release()
    assert.deepEqual(first.uploads[1], [`same ${name(0)}`, name(1), `same ${name(2)}`])
    assert.equal(second.uploads.length, 1, 'nothing has changed in its blocks')
    const [held] = [...first.adapters.values()]
    assert.deepEqual([first.adapters.size, asFloat32(held![1]!.a)[0]], [1, 9])

    await versions.update(new Map([[name(1), pair(9)]]))
    assert.equal(versions.version, 1, 'nothing has changed')
    await versions.update(
      new Map([
        [name(4), pair(3)],
        [name(7), pair(3)],
      ]),
    )
    ;(await passes(swarm, versions)).release()
    assert.deepEqual([first.uploads.length, second.uploads.slice(1)], [2, [[name(4)]]])
  })

  it('gives gradients of its modules, summed over pieces, of the version that the pass began with', async (t) => {
    const swarm = new ToySwarm(t)
    for (let i = 0; i < 2; i++) swarm.serve(0, 6).pieceMs = 3
    const versions = new AdapterVersions(adapterOf([0, 4, 7]), config)
    using pass = await passes(swarm, versions)
    await versions.update(new Map([[name(0), pair(5)]]))
    using newer = await passes(swarm, versions)
    const gradient = batch(8, 256, 3)
    const total = asFloat32(gradient).reduce((sum, value) => sum + value, 0)
    assert.notEqual(total, 0)
    for (const each of [pass, newer, pass]) {
      const { adapter } = await each.backward(gradient)
      assert.deepEqual([...adapter!.keys()].toSorted(), [name(0), name(4)])
      // The gradient reaches block 4's span whole: both blocks are in one span.
      for (const { a, b } of adapter!.values())
        assert.deepEqual(
          [a.shape, b.shape, new Set([...asFloat32(a), ...asFloat32(b)])],
          [[RANK, 256], [256, RANK], new Set([total])],
        )
    }
    const adapters = new Set(swarm.servers.flatMap(({ computed }) => computed.map(({ adapter }) => adapter)))
    assert.equal(adapters.size, 2)
    const fixed = await recordedPass(swarm, batch(1, 8), { start: 0, end: 6, adapter: versions.fixed })
    assert.equal((await fixed.backward(batch(1, 8))).adapter, undefined)
    fixed.release()
  })

  it('is sent whole to a server that has lost it, once', async (t) => {
    const swarm = new ToySwarm(t)
    const server = swarm.serve(0, 6)
    const versions = new AdapterVersions(adapterOf([0, 4]), config)
    using pass = await passes(swarm, versions)
    server.adapters.clear()
    await pass.backward(batch(8, 256))
    assert.deepEqual(server.uploads, [
      [name(0), name(4)],
      [name(0), name(4)],
    ])
    assert.equal(swarm.bans.size, 0)
    await versions.update(new Map([[name(0), pair(5)]]))
    server.adapters.clear()
    ;(await passes(swarm, versions)).release()
    assert.deepEqual(server.uploads[2], [name(0), name(4)])
    // One that never keeps it is left out.
    const other = swarm.serve(0, 6, { prefillRate: 1 })
    server.before = () => {
      server.adapters.clear()
      throw new PetalsError('ADAPTER_UNKNOWN', 'what adapter?')
    }
    await pass.backward(batch(8, 256))
    assert.equal(other.rows('backward'), 8)
    assert.ok(server.uploads.length <= 3 + 2 * 4)
  })

  it('leaves nothing under way where the caller ends the pass', async (t) => {
    const swarm = new ToySwarm(t)
    const server = swarm.serve(0, 6)
    const versions = new AdapterVersions(adapterOf([0, 4]), config)
    const take = server.peer.handlers.get('adapter')!
    let offers = 0
    server.peer.handlers.set('adapter', async (stream) => {
      offers++
      await sleep(50)
      await take(stream)
    })
    const stop = new AbortController()
    const options = { start: 0, end: 6, adapter: versions.newest }
    const ended = recordedPass(swarm, batch(1, 8), { ...options, signal: stop.signal })
    const other = recordedPass(swarm, batch(1, 8), options)
    await sleep(10)
    stop.abort(new Error('enough'))
    await assert.rejects(ended, /enough/)
    // Another pass waits for the same upload, which goes on.
    ;(await other).release()
    assert.deepEqual([offers, server.uploads.length], [1, 1])
    const alone = new AbortController()
    await versions.update(new Map([[name(0), pair(5)]]))
    const late = recordedPass(swarm, batch(8, 256), { ...options, adapter: versions.newest, signal: alone.signal })
    await sleep(10)
    alone.abort(new Error('enough'))
    await assert.rejects(late, /enough/)
    await swarm.idle()
    assert.deepEqual([...versions.atServers.values()], [{ version: 0, uploading: 0 }])
  })

  it('takes only what it is made of', async () => {
    const versions = new AdapterVersions(adapterOf([0]), config)
    await assert.rejects(versions.update(new Map([[name(1), pair(1)]])), { code: 'USAGE', message: /layers\.1\./ })
    const wrong = { ...pair(1), b: filled(1, [RANK, 256]) }
    await assert.rejects(versions.update(new Map([[name(0), wrong]])), { code: 'TENSOR_SHAPE' })
    assert.equal(versions.version, 0)
    assert.throws(() => new AdapterVersions(adapterOf([99]), config), { code: 'ADAPTER_MISFIT' })
  })
})
