import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ClientShares } from '../../../src/engine/schedule/client-shares.ts'

const entry = (client: string) => ({ client })

describe('shares of clients', () => {
  it('let who comes begin level with those whose steps all went at once', () => {
    const shares = new ClientShares()
    for (let i = 0; i < 1000; i++) {
      shares.join('old')
      shares.take([entry('old')], 4)
      shares.charge('old', 1)
    }
    shares.join('new')
    shares.charge('new', 2)
    assert.equal(shares.next([entry('old'), entry('new')])?.client, 'old')
  })
})
