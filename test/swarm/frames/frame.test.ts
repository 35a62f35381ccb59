import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Uint8ArrayList } from 'uint8arraylist'
import { CODECS, MessageCodec } from '../../../src/swarm/frames/codec.ts'
import { flag, optional, repeated, tensor, uint } from '../../../src/swarm/frames/fields.ts'
import { FrameDecoder, encodeFrame } from '../../../src/swarm/frames/frame.ts'
import type { AnyMessage } from '../../../src/swarm/frames/messages.ts'
import type { PackedTensor } from '../../../src/tensor/activations.ts'
import { type Tensor, fromFloat32 } from '../../../src/tensor/tensor.ts'
import { bytesTensor } from '../kit.ts'
import { putTogether } from './mutations.ts'

const LIMITS = { headerBytes: 64 << 10, payloadBytes: 64 << 20 }

/** Messages of no rpc, to cut and to join. */
const CODEC = new MessageCodec('a test', {
  step: {
    code: 2,
    fields: {
      step: uint(1),
      push: flag(2),
      a: tensor(3, ['rows', 'width']),
      b: optional(tensor(4, ['rows', 'width'])),
    },
  },
  list: { code: 3, fields: { items: repeated(uint(1)) } },
})

function decodeIn(bytes: Uint8Array, pieceBytes: number): AnyMessage[] {
  const messages: AnyMessage[] = []
  const decoder = new FrameDecoder(CODEC, LIMITS, (message) => messages.push(message))
  for (let i = 0; i < bytes.byteLength; i += pieceBytes) decoder.push(bytes.subarray(i, i + pieceBytes))
  assert.equal(decoder.midFrame, false)
  return messages
}

interface Step extends AnyMessage {
  readonly step: number
  readonly push: boolean
  readonly a: Tensor
  readonly b?: Tensor
}

const stepOf = (a: Tensor, b?: Tensor): Step => ({
  kind: 'step',
  step: 3,
  push: false,
  a,
  ...(b !== undefined && { b }),
})

const small = stepOf(fromFloat32(Float32Array.of(1, -2, 3), [1, 3]), bytesTensor(6, 9))
const large = stepOf(bytesTensor(70_000, 7), bytesTensor(4, 8))
const messages: AnyMessage[] = [
  { kind: 'end' },
  small,
  { kind: 'list', items: [0, 300, 2] } as AnyMessage,
  { kind: 'list', items: [] } as AnyMessage,
  large,
]

for (const pieceBytes of [1, 7, 8, 4096, 1 << 20]) {
  test(`messages that arrive in pieces of ${pieceBytes} bytes come out as they were`, () => {
    const frames = messages.map((message) => encodeFrame(message, CODEC, LIMITS).subarray())
    assert.deepEqual(decodeIn(new Uint8ArrayList(...frames).subarray(), pieceBytes), messages)
  })
}

test('a small message is one buffer, a large one refers to its tensors without copying', () => {
  assert.ok(encodeFrame(small, CODEC, LIMITS) instanceof Uint8Array)
  const list = encodeFrame(large, CODEC, LIMITS)
  assert.ok(list instanceof Uint8ArrayList)
  assert.ok([...list].some((chunk) => chunk.buffer === large.a.data.buffer))
})

test('a received payload owns an ArrayBuffer of just its size', () => {
  const [message] = decodeIn(encodeFrame(small, CODEC, LIMITS).subarray(), 1 << 20) as [Step]
  assert.equal(message.a.data.buffer.byteLength, 18)
  assert.equal(message.b!.data.buffer, message.a.data.buffer)
})

test('a payload beyond what is allocated at once grows and arrives whole', () => {
  const bulk = stepOf(bytesTensor(9 << 20, 3))
  const [message] = decodeIn(encodeFrame(bulk, CODEC, LIMITS).subarray(), 200_000) as [Step]
  assert.equal(message.a.data.buffer.byteLength, 9 << 20)
  assert.ok(message.a.data.every((byte) => byte === 3))
})

const field = (number: number, ...value: number[]) => ({
  number,
  wireType: number < 3 ? 0 : 2,
  value: Buffer.from(value),
})
const rawStep = (payloadBytes: number, ...tensors: ReturnType<typeof field>[]) =>
  putTogether({ code: 2, fields: [field(1, 3), field(2, 0), ...tensors], payload: Buffer.alloc(payloadBytes) })
const huge = [255, 255, 255, 255, 15]
const hostile: Record<string, Buffer> = {
  'a header of 4 GB': Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
  'a payload of 4 GB': Buffer.from([10, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]),
  'no header': Buffer.alloc(8),
  'a header of noise': Buffer.from('0600000000000000ffffffffffff', 'hex'),
  'a header that breaks off': Buffer.from('03000000000000000208ff', 'hex'),
  'an integer without end': Buffer.from('0d000000000000000208ffffffffffffffffffff7f', 'hex'),
  'a value of an unknown type': Buffer.from('0300000000000000027b00', 'hex'),
  'an unknown dtype': rawStep(4, field(3, 3, 9, 1, 1)),
  'a shape larger than the payload': rawStep(4, field(3, 11, 0, ...huge, ...huge)),
  'a payload larger than the shape': rawStep(8, field(3, 3, 0, 1, 1)),
  'a payload without tensors': putTogether({ code: 3, fields: [], payload: Buffer.alloc(8) }),
}

for (const [name, bytes] of Object.entries(hostile)) {
  test(`${name} is refused before anything is allocated for it`, () => {
    const decoder = new FrameDecoder(CODEC, LIMITS, () => assert.fail('a message was emitted'))
    assert.throws(() => decoder.push(bytes), { code: 'SWARM_FRAME' })
  })
}

test('random bytes never give anything but messages or SWARM_FRAME', () => {
  let seed = 1
  const random = () => (seed = (seed * 48_271) % 0x7fffffff)
  const valid = encodeFrame(small, CODEC, LIMITS).subarray()
  for (let round = 0; round < 2000; round += 1) {
    const bytes = Uint8Array.from(valid)
    for (let flips = random() % 4; flips >= 0; flips -= 1) bytes[random() % bytes.byteLength] = random()
    const decoder = new FrameDecoder(CODEC, LIMITS, () => undefined)
    try {
      decoder.push(bytes)
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'SWARM_FRAME', String(error))
    }
  }
})

test('what a receiver would refuse is not sent', () => {
  const limits = { headerBytes: 20, payloadBytes: 10 }
  const send = (message: AnyMessage) => () => encodeFrame(message, CODEC, limits)
  assert.throws(send(stepOf(bytesTensor(12))), { code: 'SWARM_TOO_LARGE', message: /12 bytes/ })
  assert.throws(send({ kind: 'list', items: Array.from({ length: 20 }, () => 300) } as AnyMessage), {
    code: 'SWARM_TOO_LARGE',
    message: /header/,
  })
  assert.throws(send(stepOf({ dtype: 'float32', shape: [1, 2], data: new Uint8Array(4) })), { code: 'SWARM_FRAME' })
  assert.throws(send(stepOf({ dtype: 'uint8', shape: [1, 2], data: new Uint8Array(2) })), { code: 'SWARM_FRAME' })
  assert.throws(send({ kind: 'step' }), { code: 'SWARM_FRAME', message: /"step" lacks its "step"/ })
})

test('a message of packed values has no more elements than one of float32, on either side', () => {
  const { requests } = CODECS.inference
  const hidden: PackedTensor = { dtype: 'int8-blocks', shape: [4, 64], data: new Uint8Array(4 * 68) }
  const step = { kind: 'step', epoch: 1, step: 1, position: 0, push: false, hidden } as AnyMessage
  const limits = { headerBytes: 100, payloadBytes: 4 * 64 * 4 }
  const bytes = encodeFrame(step, requests, limits).subarray()
  const got: AnyMessage[] = []
  new FrameDecoder(requests, limits, (message) => got.push(message)).push(bytes)
  assert.deepEqual(got, [step])
  const less = { ...limits, payloadBytes: limits.payloadBytes - 1 }
  assert.throws(() => encodeFrame(step, requests, less), {
    code: 'SWARM_TOO_LARGE',
    message: /unpacked payload of 1024/,
  })
  const decoder = new FrameDecoder(requests, less, () => assert.fail('a message came'))
  assert.throws(() => decoder.push(bytes), { code: 'SWARM_FRAME', message: /unpacked payload of 1024/ })
  const short = { ...step, hidden: { ...hidden, data: new Uint8Array(4 * 67) } }
  assert.throws(() => encodeFrame(short, requests, limits), { code: 'SWARM_FRAME', message: /of 268 bytes/ })
  const wrong = Buffer.from(bytes)
  wrong.writeUInt32LE(4 * 67, 4)
  assert.throws(() => new FrameDecoder(requests, limits, () => undefined).push(wrong), { code: 'SWARM_FRAME' })
})
