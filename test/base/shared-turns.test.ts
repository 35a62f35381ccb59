import assert from 'node:assert/strict'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { test } from 'node:test'
import { SharedTurns } from '../../src/base/shared-turns.ts'

/** A clock that only work moves on. */
function clock() {
  const state = { now: 0 }
  return { turns: new SharedTurns(5, () => state.now), spend: (ms: number) => (state.now += ms) }
}

test('work that is ready at once is divided among turns, in order, and all of it is done', async () => {
  const { turns, spend } = clock()
  const done: number[] = []
  let inTurn = 0
  let longest = 0
  const isOver = new AbortController()
  const watch = async (): Promise<void> => {
    while (!isOver.signal.aborted) {
      inTurn = 0
      await nextTurn()
    }
  }
  const watched = watch()
  await Promise.all(
    Array.from({ length: 40 }, async (_, i) => {
      await turns.next()
      // It goes on over a few awaits before it waits for something else.
      for (let part = 0; part < 4; part++) {
        spend(0.5)
        inTurn += 0.5
        longest = Math.max(longest, inTurn)
        await undefined
      }
      done.push(i)
    }),
  )
  isOver.abort()
  await watched
  assert.deepEqual(
    done,
    Array.from({ length: 40 }, (_, i) => i),
  )
  assert.ok(longest >= 4 && longest < 9, `${longest} ms in one turn`)
})

test('what comes while others wait does not overtake them', async () => {
  const { turns, spend } = clock()
  const order: string[] = []
  const work = async (name: string): Promise<void> => {
    await turns.next()
    order.push(name)
    spend(3)
  }
  spend(1)
  await work('first')
  await work('second')
  const waiting = [work('third'), work('fourth'), work('fifth')]
  await Promise.all([...waiting, work('last')])
  assert.deepEqual(order, ['first', 'second', 'third', 'fourth', 'fifth', 'last'])
})

test('in a turn that has time nothing waits for the next one', async () => {
  const { turns, spend } = clock()
  let numTurns = 0
  const next = async (ms: number): Promise<number> => {
    const turn = setImmediate(() => (numTurns += 1))
    await turns.next()
    clearImmediate(turn)
    spend(ms)
    return numTurns
  }
  assert.equal(turns.next(), undefined)
  assert.deepEqual([await next(2), await next(3), await next(0)], [0, 0, 1])
})

test('what is begun when messages are read counts with the immediates of that turn', async () => {
  const { turns, spend } = clock()
  const { promise, resolve } = Promise.withResolvers<number>()
  let numImmediates = 0
  const count = (): void => {
    numImmediates += 1
    if (numImmediates < 5) setImmediate(count)
  }
  setTimeout(() => {
    setImmediate(count)
    assert.equal(turns.next(), undefined)
    spend(5)
    void turns.next()!.then(() => resolve(numImmediates))
  })
  assert.equal(await promise, 2)
})

test('what all pieces of a turn have in common comes behind the last of them', async () => {
  const { turns, spend } = clock()
  const order: string[] = []
  const work = async (name: string): Promise<void> => {
    await turns.next()
    order.push(name)
    turns.behind(() => order.push(`behind ${name}`))
    spend(2)
  }
  await Promise.all(['a', 'b', 'c', 'd'].map(work))
  await nextTurn()
  assert.deepEqual(order, ['a', 'b', 'c', 'behind a', 'behind b', 'behind c', 'd', 'behind d'])
  turns.behind(() => order.push('alone'))
  await undefined
  assert.equal(order.at(-1), 'behind d')
  await nextTurn()
  assert.equal(order.at(-1), 'alone')
})

test('what comes between turns does not wait for the pieces of the next', async () => {
  const { turns, spend } = clock()
  const order: string[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  setImmediate(() => {
    void turns.next()
    spend(5)
    void turns.next()!.then(() => {
      order.push('next piece')
      resolve()
    })
    setImmediate(() => turns.behind(() => order.push('between')))
  })
  await promise
  assert.deepEqual(order, ['between', 'next piece'])
})
