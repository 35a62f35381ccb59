import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { PassRequests } from '../../../src/server/requests/pass-requests.ts'
import { RequestContext } from '../../../src/server/requests/request-context.ts'
import { ByteBudget } from '../../../src/swarm/byte-budget.ts'
import type { Answer, Request } from '../../../src/swarm/frames/messages.ts'
import type { ServedStream } from '../../../src/swarm/frames/frame-stream.ts'
import { newTrace } from '../../../src/swarm/node/trace.ts'
import { fromFloat32 } from '../../../src/tensor/tensor.ts'
import { silent } from '../../swarm/kit.ts'

const ONE = fromFloat32(Float32Array.of(1), [1, 1, 1])

/** Of each request: far more than it brought. */
const GRADIENT_BYTES = 60

/** A client that reads its answers when it wants to. */
class Client {
  readonly answers: Answer<'backward'>['kind'][] = []
  readonly #reading = Promise.withResolvers<void>()
  readonly #leaving = Promise.withResolvers<void>()
  readonly stream: ServedStream<'backward'>

  constructor(remotePeer: string, adapterGradients: boolean) {
    const request: Request<'backward'> = {
      kind: 'backward',
      modelKey: 'model',
      start: 0,
      end: 1,
      trace: newTrace(),
      hidden: ONE,
      gradient: ONE,
      adapter: 'adapter',
      adapterGradients,
    }
    this.stream = {
      remotePeer,
      closed: this.#leaving.promise,
      receive: async () => request,
      send: async (answer: Answer<'backward'>) => {
        await this.#reading.promise
        this.answers.push(answer.kind)
      },
    } as unknown as ServedStream<'backward'>
  }

  read(): void {
    this.#reading.resolve()
  }

  leave(): void {
    this.#leaving.resolve()
  }
}

test('gradients of adapters are not computed for a client that does not read those that it has', async () => {
  const computed: string[] = []
  const module = { name: 'm', a: ONE, b: ONE }
  const engine = {
    dtype: 'float32',
    adapters: { gradientBytes: () => GRADIENT_BYTES },
    backward: async (_hidden: unknown, _gradient: unknown, { client }: { client: string }) => {
      computed.push(client)
      return { hidden: ONE, modules: [module] }
    },
  }
  const sent = new ByteBudget({ perPeer: 100, total: 400 })
  const node = {
    peerId: 'server',
    tracing: undefined,
    open: () => Promise.reject(new Error('no pass opens a stream')),
    peerGuard: { sent, received: sent },
  }
  const passes = new PassRequests(
    new RequestContext({ node, engine: engine as never, logger: silent }, { modelKey: 'model' }),
  )
  const [first, second, third, other, plain] = ['a', 'a', 'a', 'b', 'a'].map((peer, i) => new Client(peer, i < 4))
  const [one, two, three, four, five] = [first!, second!, third!, other!, plain!].map(({ stream }) =>
    passes.backward(stream),
  )
  const refused = assert.rejects(two!, { code: 'SESSION_CLOSED' })
  for (let i = 0; i < 20; i++) await nextTurn()
  // The second and the third wait; what has no such gradients does not.
  assert.deepEqual(computed.toSorted(), ['a', 'a', 'b'])
  second!.leave()
  await refused
  plain!.read()
  await five
  first!.read()
  await one
  assert.deepEqual(first!.answers, ['gradients', 'module', 'complete'])
  for (const client of [third!, other!]) client.read()
  await Promise.all([three, four])
  assert.deepEqual(computed.toSorted(), ['a', 'a', 'a', 'b'])
  assert.equal(sent.bytes, 0)
})
