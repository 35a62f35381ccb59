import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Advances } from '../../../src/checkpoint/tokenizer/advances.ts'
import type { AdvanceRequest } from '../../../src/checkpoint/tokenizer/calls.ts'
import { STREAM_START } from '../../../src/checkpoint/tokenizer/stream.ts'

const request = (id: number): AdvanceRequest => ({ state: STREAM_START, skipSpecialTokens: false, ids: [id] })

test('tokens of many texts are one question, whose answers go to each; a text that fails fails alone', async () => {
  const asked: number[][] = []
  const advances = new Advances(async (requests) => {
    asked.push(requests.map(({ ids }) => ids[0]!))
    return requests.map(({ ids: [id] }) => (id === 2 ? { failure: 'no' } : { state: STREAM_START, piece: `<${id}>` }))
  })
  const answers = await Promise.allSettled([1, 2, 3].map((id) => advances.next(request(id))))
  assert.deepEqual(asked, [[1, 2, 3]])
  assert.deepEqual(
    answers.map((answer) => (answer.status === 'fulfilled' ? answer.value.piece : answer.reason.code)),
    ['<1>', 'TOKENIZER_FAILED', '<3>'],
  )
  assert.equal((await advances.next(request(4))).piece, '<4>')
})

test('a thread that is gone fails all that asked', async () => {
  const gone = new Error('gone')
  const advances = new Advances(() => Promise.reject(gone))
  const answers = await Promise.allSettled([advances.next(request(1)), advances.next(request(2))])
  assert.deepEqual(
    answers.map((answer) => answer.status === 'rejected' && answer.reason),
    [gone, gone],
  )
})
