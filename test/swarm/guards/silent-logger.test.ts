import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SILENT_LOGGER } from '../../../src/swarm/guards/silent-logger.ts'

test('whatever part of libp2p asks for a logger gets the same one, which says nothing', () => {
  const log = SILENT_LOGGER.forComponent('libp2p:connection')
  assert.equal(SILENT_LOGGER.forComponent('libp2p:other'), log)
  assert.equal(log.newScope('a').newScope('b'), log)
  assert.equal(log.enabled, false)
  for (const say of [log, log.error, log.trace]) assert.equal(say('%s', 'something'), undefined)
})
