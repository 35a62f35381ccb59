import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Turns } from '../../../src/engine/schedule/turns.ts'

const { signal } = new AbortController()

describe('turns', () => {
  it('are taken one at a time, and next by the client that has had least', async () => {
    const turns = new Turns()
    const order: string[] = []
    const work = async (client: string, tokens: number): Promise<void> => {
      const end = await turns.take(client, signal)
      order.push(client)
      await Promise.resolve()
      end(tokens)
    }
    await Promise.all([work('a', 100), work('a', 100), work('a', 100), work('b', 30), work('b', 30)])
    assert.deepEqual(order, ['a', 'b', 'b', 'a', 'a'])
    assert.ok(turns.isIdle)
  })

  it('are left by who no longer waits, and ended by who goes in his own', async () => {
    const turns = new Turns()
    const end = await turns.take('a', signal)
    const gone = new AbortController()
    const waiting = turns.take('b', gone.signal)
    const next = turns.take('c', signal)
    gone.abort(new Error('gone'))
    await assert.rejects(waiting, /gone/)
    await assert.rejects(turns.take('d', gone.signal), /gone/)
    end(1)
    const endNext = await next
    assert.equal(turns.isIdle, false)
    endNext(1)
    assert.ok(turns.isIdle)
  })

  it('that begin in the moment in which their client goes are ended as usual', async () => {
    const turns = new Turns()
    const end = await turns.take('a', signal)
    const gone = new AbortController()
    const next = turns.take('b', gone.signal)
    end(1)
    gone.abort(new Error('gone'))
    const endNext = await next
    endNext(0)
    assert.ok(turns.isIdle)
  })
})
