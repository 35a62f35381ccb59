import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AdapterDigest } from '../../src/checkpoint/adapter/adapter-digest.ts'
import type { Engine } from '../../src/engine/engine.ts'
import { ClientAdapters } from '../../src/server/client-adapters.ts'
import { ByteBudget } from '../../src/swarm/byte-budget.ts'
import {
  FrameStream,
  type RequestStream,
  type ServedStream,
  openingSide,
  servingSide,
} from '../../src/swarm/frames/frame-stream.ts'
import { loopback } from '../../src/swarm/frames/loopback.ts'
import { RPC_LIMITS } from '../../src/swarm/limits.ts'
import { RateLimit } from '../../src/swarm/rate-limit.ts'
import { fromFloat32 } from '../../src/tensor/tensor.ts'

/** One module, of 800 bytes in all, told from others by its number. */
function moduleOf(number: number) {
  const matrix = (...shape: [number, number]) => fromFloat32(new Float32Array(100).fill(number), shape)
  return { name: `model.layers.${number}.self_attn.q_proj`, scaling: 1, a: matrix(2, 50), b: matrix(50, 2) }
}

function nameOf(...numbers: number[]): string {
  const digest = new AdapterDigest()
  for (const number of numbers) digest.add(moduleOf(number))
  return digest.name()
}

/** Adapters of an engine that takes any; those of `inUse` cannot be removed. */
function server(totalBytes: number, uploadTimeoutMs?: number) {
  const names = new Set<string>()
  const inUse = new Set<string>()
  const adapters = {
    has: (name: string) => names.has(name),
    add: ({ name }: { name: string }) => names.add(name),
    remove: (name: string) => !inUse.has(name) && names.delete(name),
    acquire: async () => ({ release: () => undefined }),
  }
  const received = new ByteBudget({ perPeer: 1 << 20, total: 1 << 24 })
  const held = new ClientAdapters({ totalBytes }, uploadTimeoutMs)
  const offer = (peerId: string, name: string, replaces?: string) => {
    const [near, far] = loopback()
    const client: RequestStream<'adapter'> = new FrameStream(near, {
      remotePeer: 'server',
      side: openingSide('adapter', RPC_LIMITS.adapter),
      report: assert.fail,
    })
    const budgets = { bytes: received, requests: new RateLimit(Infinity) }
    const side = servingSide('adapter', RPC_LIMITS.adapter)
    const served: ServedStream<'adapter'> = new FrameStream(far, {
      remotePeer: peerId,
      side,
      report: assert.fail,
      budgets,
    })
    const taken = held.receive(served, { kind: 'offer', modelKey: 'm', adapter: name, replaces }, {
      adapters,
    } as unknown as Engine)
    taken.catch(() => undefined)
    const send = (number: number) => client.send({ kind: 'module', ...moduleOf(number) })
    const end = () => served.abort(new Error('the request is over'))
    const same = (number: number) => client.send({ kind: 'same', name: moduleOf(number).name })
    const answer = () => client.receive({ timeoutMs: 20_000 })
    return { send, same, answer, complete: () => client.send({ kind: 'complete' }), taken, end }
  }
  const bring = async (peerId: string, number: number): Promise<void> => {
    const upload = offer(peerId, nameOf(number))
    await upload.send(number)
    await upload.complete()
    await upload.taken
  }
  return { offer, bring, names, inUse, received }
}

test('an upload has a deadline, however steadily it goes on', async () => {
  const { offer, received } = server(10_000, 100)
  const { send, taken, end } = offer('slow', nameOf(1))
  const state = { isOver: false }
  const over = assert
    .rejects(taken, { code: 'ADAPTER_REFUSED', message: /more than 0.1 s/ })
    .then(() => (state.isOver = true))
  for (let number = 1; !state.isOver; number++) {
    await send(number % 5)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  await over
  // As the node does with the stream of a request that failed; what came since goes with it.
  end()
  assert.equal(received.bytes, 0)
})

test('where uploads together are too large, those of the peer that sends most are cut off', async () => {
  const { offer, names } = server(2000)
  const greedy = [offer('greedy', nameOf(1)), offer('greedy', nameOf(2))]
  for (const [i, { send }] of greedy.entries()) await send(i + 1)
  const modest = offer('modest', nameOf(3))
  await modest.send(3)
  for (const { taken } of greedy) await assert.rejects(taken, { code: 'ADAPTER_REFUSED', message: /being sent/ })
  await modest.complete()
  await modest.taken
  assert.deepEqual([...names], [nameOf(3)])
})

test('room for an adapter is made by the peer that has most, and by what it offered least recently', async () => {
  const { bring, names } = server(2500)
  await bring('modest', 1)
  await bring('greedy', 2)
  await bring('greedy', 3)
  await bring('other', 4)
  assert.deepEqual([...names].toSorted(), [nameOf(1), nameOf(3), nameOf(4)].toSorted())
  await bring('greedy', 5)
  assert.ok(names.has(nameOf(1)) && names.has(nameOf(4)))
})

/** The next version of an adapter of the modules `kept` and `changed`. */
async function update(at: ReturnType<typeof server>, peerId: string, replaces: string, kept: number, changed: number) {
  const name = nameOf(kept, changed)
  const { answer, same, send, complete, taken } = at.offer(peerId, name, replaces)
  assert.deepEqual(await answer(), { kind: 'send', hasReplaced: true })
  await same(kept)
  await send(changed)
  await complete()
  await taken
  return name
}

test('a newer version of an adapter stands in the place of the one before, and only what changed is sent', async () => {
  // Room for two versions, not for three.
  const at = server(3000)
  await at.bring('trainer', 1)
  await at.bring('other', 9)
  let version = nameOf(1)
  for (const changed of [2, 3, 4, 5]) {
    version = await update(at, 'trainer', version, 1, changed)
    assert.deepEqual([...at.names].toSorted(), [nameOf(9), version].toSorted())
  }
})

test('a version that requests still use goes when the next one comes after them', async () => {
  const at = server(10_000)
  await at.bring('trainer', 1)
  at.inUse.add(nameOf(1))
  const second = await update(at, 'trainer', nameOf(1), 1, 2)
  assert.deepEqual([...at.names], [nameOf(1), second])
  at.inUse.clear()
  const third = await update(at, 'trainer', second, 1, 3)
  assert.deepEqual([...at.names], [third])
})

test('only who brought an adapter may replace it; what it does not have cannot be the same', async () => {
  const { bring, offer, names } = server(10_000)
  await bring('trainer', 1)
  const thief = offer('thief', nameOf(1, 2), nameOf(1))
  assert.deepEqual(await thief.answer(), { kind: 'send' })
  await thief.same(1)
  await assert.rejects(thief.taken, { code: 'ADAPTER_REFUSED', message: /has no module model.layers.1/ })
  const trainer = offer('trainer', nameOf(2, 3), nameOf(1))
  assert.deepEqual(await trainer.answer(), { kind: 'send', hasReplaced: true })
  await trainer.same(2)
  await assert.rejects(trainer.taken, { code: 'ADAPTER_REFUSED', message: /has no module model.layers.2/ })
  const liar = offer('trainer', nameOf(2), nameOf(1))
  await liar.same(1)
  await liar.complete()
  await assert.rejects(liar.taken, { code: 'ADAPTER_REFUSED', message: /not what its name says/ })
  assert.deepEqual([...names], [nameOf(1)])
})
