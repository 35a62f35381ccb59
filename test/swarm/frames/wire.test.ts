import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeHeader, encodeHeader, type FrameHeader } from '../../../src/swarm/frames/wire.ts'

const full: Required<FrameHeader> = {
  kind: 'step',
  sessionId: 's-1',
  epoch: 2,
  step: 0,
  position: 7,
  until: 8,
  fault: { code: 'BUSY', message: 'später' },
  open: { modelKey: 'm', start: 0, end: 4, maxLength: 2048, allocTimeoutMs: 30_000 },
  next: { peerId: '12D3', multiaddrs: ['/ip4/127.0.0.1/tcp/1'], sessionId: 's-2' },
  records: [Uint8Array.of(1, 2)],
  modelKey: 'm',
  version: '0.1.0',
  push: false,
  start: 1,
  end: 0xffffffff,
  numbers: { tokensPerSecond: 1.5 },
  trace: '0123456789abcdef',
  protocol: '1.0.0',
  adapter: 'moby',
}

test('a header comes back with every field, zeros and false included', () => {
  const tensors = [{ dtype: 'float32', shape: [1, 0, 4] }]
  const decoded = decodeHeader(encodeHeader(full, tensors))
  assert.deepEqual(decoded.header, full)
  assert.deepEqual(
    decoded.tensors.map(({ dtype, shape }) => ({ dtype, shape })),
    tensors,
  )
})

test('a field that was not sent is absent and not a default', () => {
  assert.deepEqual(decodeHeader(encodeHeader({ kind: 'end' }, [])).header, { kind: 'end' })
})

for (const value of [-1, 1.5, 2 ** 32, Number.NaN]) {
  test(`${value} is refused as a step instead of being wrapped`, () => {
    assert.throws(() => encodeHeader({ kind: 'step', step: value }, []), { code: 'SWARM_FRAME' })
  })
}

test('headers that do not parse or have no kind are refused', () => {
  assert.throws(() => decodeHeader(Uint8Array.of(0x0a, 0xff, 1)), { code: 'SWARM_FRAME' })
  assert.throws(() => decodeHeader(new Uint8Array(0)), { code: 'SWARM_FRAME' })
  assert.throws(() => decodeHeader(encodeHeader({ kind: 'x'.repeat(33) }, [])), { code: 'SWARM_FRAME' })
})
