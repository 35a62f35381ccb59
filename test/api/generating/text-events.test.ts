import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { eventsOf } from '../../../src/api/generating/text-events.ts'
import type { GenerationChunk, GenerationResult } from '../../../src/client/generation/result.ts'

const RESULT: GenerationResult = {
  promptIds: [1],
  tokenIds: [2, 3],
  logprobs: [],
  text: 'ab',
  finishReason: 'length',
  seconds: 1,
  prefillSeconds: 0.5,
}

/** A text of two tokens, and whether its generator has come to an end. */
function twoTokens() {
  const state = { isEnded: false }
  async function* run(): AsyncGenerator<GenerationChunk, GenerationResult> {
    try {
      yield await Promise.resolve({ tokenIds: [2], text: 'a' })
      yield { tokenIds: [3], text: 'b' }
      return RESULT
    } finally {
      state.isEnded = true
    }
  }
  return { state, chunks: run() }
}

describe('the events of a text', () => {
  test('a text that is read to its end', async () => {
    const { state, chunks } = twoTokens()
    const events = await Array.fromAsync(eventsOf(7, chunks))
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ['chunk', 'chunk', 'end'],
    )
    assert.deepEqual(events.at(-1), { kind: 'end', index: 7, result: { ...RESULT, cachedTokens: 0 } })
    assert.ok(state.isEnded)
  })

  test('a reader that stops in the middle ends the text, so that its session is given back', async () => {
    const { state, chunks } = twoTokens()
    for await (const event of eventsOf(0, chunks)) {
      assert.equal(event.kind, 'chunk')
      break
    }
    assert.ok(state.isEnded)
  })
})
