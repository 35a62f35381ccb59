import assert from 'node:assert/strict'
import { test } from 'node:test'
import { apiErrorOf, errorBody } from '../../../src/api/errors/error-of.ts'
import { PetalsError } from '../../../src/base/errors.ts'
import { ChatTemplateError } from '../../../src/client/chat/template-source.ts'
import { NoRouteError } from '../../../src/client/remote/routes/routing.ts'

test('clients are told neither addresses of peers nor paths of this machine', () => {
  const secret = '/ip4/10.0.0.7/tcp/24640 for /home/me/models/llama'
  const lacking = apiErrorOf(new NoRouteError([3, 4, 7], `no server holds 3, 4, 7: tried ${secret}`))
  assert.deepEqual([lacking.details.status, lacking.details.code], [503, 'no_route'])
  assert.match(lacking.message, /blocks 3:5, 7:8 /)
  const refused = apiErrorOf(new ChatTemplateError(secret, 'roles must alternate'))
  assert.deepEqual([refused.details.status, refused.details.code], [400, 'chat_template'])
  assert.match(refused.message, /roles must alternate/)
  for (const error of [lacking, refused, apiErrorOf(new NoRouteError([], secret))])
    assert.ok(!JSON.stringify(errorBody(error)).includes('me/models'), error.message)
})

test("what is not known to be the request's or the swarm's fault is the server's", () => {
  const own = apiErrorOf(new PetalsError('ENDS_LOST', 'the thread has ended'))
  assert.deepEqual([own.details.status, own.details.code], [500, 'ends_lost'])
  const foreign = apiErrorOf(new TypeError('x is not a function'))
  assert.deepEqual([foreign.details.status, foreign.message], [500, 'internal error'])
})
