import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { TextPrinter, describeResult } from '../../../src/cli/terminal/text-printer.ts'
import type { GenerationResult } from '../../../src/client/generation/result.ts'
import type { AutoDistributedModelForCausalLM } from '../../../src/client/model/model.ts'

test('a server with a name is called by it, on the route and when it is lost', (t) => {
  const lines: string[] = []
  t.mock.method(process.stderr, 'write', (line: string) => lines.push(line) > 0)
  const model = new EventEmitter()
  const printer = new TextPrinter(model as unknown as AutoDistributedModelForCausalLM)
  assert.ok(printer)
  const hop = { device: 'cpu', dtype: 'float32', quant: 'none', wireDType: 'float32' }
  model.emit('route', [
    { ...hop, peerId: '12D3KooWaaaaaaaaaaaa', name: 'attic', start: 0, end: 4 },
    { ...hop, peerId: '12D3KooWbbbbbbbbbbbb', name: undefined, start: 4, end: 8 },
  ])
  const recovery = { seconds: 1.5, replayedTokens: 12, reason: 'it is gone', arithmeticChanged: false }
  model.emit('recovery', { ...recovery, lost: ['12D3KooWaaaaaaaaaaaa', '12D3KooWbbbbbbbbbbbb'] })
  assert.deepEqual(lines, [
    'route: blocks 0:4 on attic (float32), 4:8 on …bbbbbbbb (float32)\n',
    'recovered from the loss of attic, …bbbbbbbb in 1.5 s, 12 tokens computed again (it is gone)\n',
  ])
})

test('the figures of a text are one line', () => {
  const result = { tokenIds: [1, 2, 3], seconds: 2, prefillSeconds: 1, finishReason: 'length' } as GenerationResult
  const figures = '3 tokens in 2.00 s (prompt 1.00 s, 2.0 tokens/s)'
  assert.equal(describeResult(result), `${figures}: as many as were asked for`)
  assert.equal(describeResult({ ...result, seed: 7 }), `${figures}: as many as were asked for; seed 7`)
  assert.equal(describeResult(result, 'there is no more room'), `${figures}: there is no more room`)
})
