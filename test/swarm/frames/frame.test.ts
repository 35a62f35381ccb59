import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Uint8ArrayList } from 'uint8arraylist'
import { encodeFrame, type Frame, FrameDecoder } from '../../../src/swarm/frames/frame.ts'
import { encodeHeader, type TensorMeta } from '../../../src/swarm/frames/wire.ts'
import { fromFloat32, type Tensor, tensor } from '../../../src/tensor/tensor.ts'
import { bytesTensor } from '../kit.ts'

const LIMITS = { headerBytes: 64 << 10, payloadBytes: 64 << 20 }

function decodeIn(bytes: Uint8Array, pieceBytes: number): Frame[] {
  const frames: Frame[] = []
  const decoder = new FrameDecoder(LIMITS, (frame) => frames.push(frame))
  for (let i = 0; i < bytes.byteLength; i += pieceBytes) decoder.push(bytes.subarray(i, i + pieceBytes))
  assert.equal(decoder.midFrame, false)
  return frames
}

function rawFrame(
  tensors: TensorMeta[],
  payloadBytes: number,
  header = encodeHeader({ kind: 'step' }, tensors),
): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt32LE(header.byteLength, 0)
  head.writeUInt32LE(payloadBytes, 4)
  return Buffer.concat([head, header])
}

const frames: Frame[] = [
  { header: { kind: 'end' }, tensors: [] },
  {
    header: { kind: 'step', step: 3 },
    tensors: [fromFloat32(Float32Array.of(1, -2, 3), [1, 1, 3]), bytesTensor(5, 9)],
  },
  { header: { kind: 'empty' }, tensors: [tensor('float16', [1, 0, 8], new Uint8Array(0))] },
  { header: { kind: 'bulk' }, tensors: [bytesTensor(70_000, 7), bytesTensor(3, 8)] },
]

for (const pieceBytes of [1, 7, 8, 4096, 1 << 20]) {
  test(`frames that arrive in pieces of ${pieceBytes} bytes come out as they were`, () => {
    const bytes = new Uint8ArrayList(...frames.map((frame) => encodeFrame(frame, LIMITS).subarray())).subarray()
    assert.deepEqual(decodeIn(bytes, pieceBytes), frames)
  })
}

test('a small frame is one buffer, a large one refers to its tensors without copying', () => {
  assert.ok(encodeFrame(frames[1]!, LIMITS) instanceof Uint8Array)
  const large = encodeFrame(frames[3]!, LIMITS)
  assert.ok(large instanceof Uint8ArrayList)
  assert.ok([...large].some((chunk) => chunk.buffer === frames[3]!.tensors[0]!.data.buffer))
})

test('a received payload owns an ArrayBuffer of just its size', () => {
  const [frame] = decodeIn(encodeFrame(frames[1]!, LIMITS).subarray(), 1 << 20)
  const [first, second] = frame!.tensors as [Tensor, Tensor]
  assert.equal(first.data.buffer.byteLength, 17)
  assert.equal(second.data.buffer, first.data.buffer)
})

test('a payload beyond what is allocated at once grows and arrives whole', () => {
  const bulk = { header: { kind: 'bulk' }, tensors: [bytesTensor(9 << 20, 3)] }
  const [frame] = decodeIn(encodeFrame(bulk, LIMITS).subarray(), 200_000)
  assert.equal(frame!.tensors[0]!.data.buffer.byteLength, 9 << 20)
  assert.ok(frame!.tensors[0]!.data.every((byte) => byte === 3))
})

const meta = (dtype: string, ...shape: number[]) => ({ dtype, shape })
const hostile: Record<string, Buffer> = {
  'a header of 4 GB': Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
  'a payload of 4 GB': Buffer.from([10, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]),
  'no header': Buffer.alloc(8),
  'a header of noise': rawFrame([], 0, Buffer.from('ffffffffffff', 'hex')),
  'nine tensors': rawFrame(
    Array.from({ length: 9 }, () => meta('int8', 1)),
    9,
  ),
  'nine axes': rawFrame([meta('int8', 1, 1, 1, 1, 1, 1, 1, 1, 1)], 1),
  'an unknown dtype': rawFrame([meta('float7', 1)], 1),
  'a shape larger than the payload': rawFrame([meta('float32', 0xffffffff, 0xffffffff, 0xffffffff)], 4),
  'a payload larger than the shape': rawFrame([meta('float32', 1)], 8),
  'a payload without tensors': rawFrame([], 8),
}

for (const [name, bytes] of Object.entries(hostile)) {
  test(`${name} is refused before anything is allocated for it`, () => {
    const decoder = new FrameDecoder(LIMITS, () => assert.fail('a frame was emitted'))
    assert.throws(() => decoder.push(bytes), { code: 'SWARM_FRAME' })
  })
}

test('random bytes never give anything but frames or SWARM_FRAME', () => {
  let seed = 1
  const random = () => (seed = (seed * 48_271) % 0x7fffffff)
  const valid = encodeFrame(frames[1]!, LIMITS).subarray()
  for (let round = 0; round < 500; round += 1) {
    const bytes = Uint8Array.from(valid)
    for (let flips = random() % 4; flips >= 0; flips -= 1) bytes[random() % bytes.byteLength] = random()
    const decoder = new FrameDecoder(LIMITS, () => undefined)
    try {
      decoder.push(bytes)
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'SWARM_FRAME', String(error))
    }
  }
})

test('what a receiver would refuse is not sent', () => {
  const limits = { headerBytes: 100, payloadBytes: 10 }
  const send = (frame: Frame) => () => encodeFrame(frame, limits)
  assert.throws(send({ header: { kind: 'step' }, tensors: [bytesTensor(11)] }), {
    code: 'SWARM_FRAME',
    message: /11 bytes/,
  })
  assert.throws(send({ header: { kind: 'step', sessionId: 'x'.repeat(200) }, tensors: [] }), { code: 'SWARM_FRAME' })
  assert.throws(
    send({ header: { kind: 'step' }, tensors: [{ dtype: 'float32', shape: [2], data: new Uint8Array(4) }] }),
    { code: 'SWARM_FRAME' },
  )
  assert.throws(send({ header: { kind: 'step' }, tensors: Array.from({ length: 9 }, () => bytesTensor(1)) }), {
    code: 'SWARM_FRAME',
  })
})
