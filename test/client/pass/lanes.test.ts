import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { PassLanes, type Turn } from '../../../src/client/pass/lanes.ts'
import type { RouteSpan } from '../../../src/client/remote/routes/route-request.ts'
import type { ServerRecord } from '../../../src/swarm/records/record-fields.ts'

const GOES_ON = new AbortController().signal

function spanOf(peerId: string, start = 0, end = 4, held: [number, number] = [start, end]): RouteSpan {
  return { server: { peerId, start: held[0], end: held[1] } as ServerRecord, start, end }
}

/** Pieces that go where the least work is, as a route would lead them, and the turns that they have been given. */
class Pieces {
  readonly lanes = new PassLanes()
  readonly turns: { piece: string; peerId: string; turn: Turn }[] = []
  readonly secondsOf: Readonly<Record<string, number>>

  constructor(secondsOf: Readonly<Record<string, number>>) {
    this.secondsOf = secondsOf
  }

  async enter(piece: string, servers: readonly RouteSpan[], signal = GOES_ON): Promise<void> {
    const choose = async (): Promise<RouteSpan> => {
      const given = this.lanes.seconds
      const until = ({ server: { peerId } }: RouteSpan): number => (given.get(peerId) ?? 0) + this.secondsOf[peerId]!
      return servers.reduce((best, other) => (until(other) < until(best) ? other : best))
    }
    const { span, turn } = await this.lanes.enter(choose, ({ server }) => this.secondsOf[server.peerId]!, signal)
    this.turns.push({ piece, peerId: span.server.peerId, turn })
  }

  async given(): Promise<string[]> {
    for (let i = 0; i < 5; i++) await nextTurn()
    return this.turns.map(({ piece, peerId }) => `${piece} ${peerId}`)
  }

  leave(piece: string): void {
    const at = this.turns.findIndex((turn) => turn.piece === piece)
    this.turns.splice(at, 1)[0]!.turn.leave()
  }
}

test('each choice knows of those before it: work is dealt out by what servers take, two pieces at a time', async () => {
  const pieces = new Pieces({ fast: 1, slow: 3 })
  const servers = [spanOf('fast'), spanOf('slow')]
  const entering = Array.from('12345678', (piece) => pieces.enter(piece, servers))
  assert.deepEqual(await pieces.given(), ['1 fast', '2 fast', '4 slow', '8 slow'])
  assert.deepEqual(Object.fromEntries(pieces.lanes.seconds), { fast: 6, slow: 6 })
  assert.equal(pieces.lanes.numPieces, 8)
  // In the order in which they came, and what the fast one has done it is given no more.
  pieces.leave('1')
  pieces.leave('2')
  assert.deepEqual(await pieces.given(), ['4 slow', '8 slow', '3 fast', '5 fast'])
  for (const piece of ['3', '5', '4', '8']) pieces.leave(piece)
  await Promise.all(entering)
  for (const piece of ['6', '7']) pieces.leave(piece)
  assert.deepEqual([pieces.lanes.numPieces, pieces.lanes.seconds.size], [0, 0])
})

test('a server that has nothing left takes over what it can compute, the last piece of where most waits', async () => {
  const pieces = new Pieces({ a: 1, b: 1, late: 1 })
  const [a, b] = [spanOf('a'), spanOf('b', 4, 8)]
  const late = spanOf('late', 0, 4)
  const servers = [a]
  const entering = Array.from('12345', (piece) => pieces.enter(piece, servers))
  entering.push(...Array.from('xyzuvw', (piece) => pieces.enter(piece, [b])))
  assert.deepEqual(await pieces.given(), ['1 a', '2 a', 'x b', 'y b'])
  servers.push(late)
  const first = pieces.enter('6', [late])
  assert.deepEqual((await pieces.given()).at(-1), '6 late')
  pieces.leave('6')
  // More waits for b, but of blocks that it does not hold.
  assert.deepEqual((await pieces.given()).slice(4), ['5 late'])
  pieces.leave('5')
  assert.deepEqual((await pieces.given()).slice(4), ['4 late'])
  pieces.lanes.failed('a')
  assert.deepEqual((await pieces.given()).slice(4), ['4 late', '3 late'])
  for (const piece of ['x', 'y']) pieces.leave(piece)
  await pieces.given()
  for (const piece of ['z', 'u']) pieces.leave(piece)
  await Promise.all([...entering, first])
})

test('a piece that must go to one server waits for it, and is told if that fails', async () => {
  const lanes = new PassLanes()
  const turns = await Promise.all([1, 1].map((seconds) => lanes.enterAt(spanOf('a'), seconds, GOES_ON)))
  const [waits, fails] = [lanes.enterAt(spanOf('a'), 5, GOES_ON), lanes.enterAt(spanOf('a'), 5, GOES_ON)]
  turns[0]!.leave()
  turns[0]!.leave()
  assert.equal((await waits)!.secondsAhead, 1)
  lanes.failed('a')
  assert.equal(await fails, undefined)
  assert.deepEqual(Object.fromEntries(lanes.seconds), { a: 6 })
  turns[1]!.leave()
  ;(await waits)!.leave()
  assert.equal(lanes.seconds.size, 0)
})

test('who gives up waits no more, while it is chosen for or in a queue, and takes nothing along', async () => {
  const pieces = new Pieces({ a: 1 })
  const [queued, choosing] = [new AbortController(), new AbortController()]
  const entering = [pieces.enter('1', [spanOf('a')]), pieces.enter('2', [spanOf('a')])]
  const third = pieces.enter('3', [spanOf('a')], queued.signal)
  await pieces.given()
  const stuck = pieces.lanes.enter(
    () => new Promise(() => undefined),
    () => 1,
    choosing.signal,
  )
  const behind = pieces.enter('4', [spanOf('a')], choosing.signal)
  queued.abort(new Error('not any more'))
  choosing.abort(new Error('nor this'))
  await assert.rejects(third, /not any more/)
  await assert.rejects(stuck, /nor this/)
  await assert.rejects(behind, /nor this/)
  await Promise.all(entering)
  assert.equal(pieces.lanes.numPieces, 2)
  await assert.rejects(pieces.lanes.enterAt(spanOf('a'), 1, queued.signal), /not any more/)
  const last = pieces.enter('5', [spanOf('a')])
  pieces.leave('1')
  await last
  for (const piece of ['2', '5']) pieces.leave(piece)
  assert.equal(pieces.lanes.seconds.size, 0)
})
