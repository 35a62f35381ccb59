import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PetalsError } from '../../../src/base/errors.ts'
import { CODECS } from '../../../src/swarm/frames/codec.ts'
import { FrameDecoder, encodeFrame } from '../../../src/swarm/frames/frame.ts'
import { type AnyMessage, MESSAGES, type MessageTable } from '../../../src/swarm/frames/messages.ts'
import { RPCS, RPC_LIMITS } from '../../../src/swarm/limits.ts'
import { fromFloat32 } from '../../../src/tensor/tensor.ts'
import { mutationsOf, putTogether, rawFrameOf, varint } from './mutations.ts'
import { SAMPLES, type Sample, allSamples } from './samples.ts'

function decode({ codec, limits }: Pick<Sample, 'codec' | 'limits'>, bytes: Uint8Array): AnyMessage[] {
  const messages: AnyMessage[] = []
  new FrameDecoder(codec, limits, (message) => messages.push(message)).push(bytes)
  return messages
}

function titleOf({ rpc, side, message }: Sample): string {
  return `${rpc}, ${side}: ${message.kind}`
}

test('there is a sample of every message, and every number is given once', () => {
  for (const rpc of RPCS) {
    for (const side of ['requests', 'answers'] as const) {
      const table: MessageTable = MESSAGES[rpc][side]
      const kinds = SAMPLES[rpc][side].map(({ kind }) => kind)
      assert.deepEqual(kinds.toSorted(), Object.keys(table).toSorted())
      const codes = Object.values(table).map(({ code }) => code)
      assert.equal(new Set([0, 1, ...codes]).size, codes.length + 2, `codes of ${side} of ${rpc}`)
      for (const [kind, { fields }] of Object.entries(table)) {
        const numbers = Object.values(fields).map(({ number }) => number)
        assert.equal(new Set(numbers).size, numbers.length, `field numbers of ${kind}`)
      }
    }
  }
})

for (const sample of allSamples()) {
  test(`${titleOf(sample)} comes back with every field, zeros and false included`, () => {
    const bytes = encodeFrame(sample.message, sample.codec, sample.limits).subarray()
    assert.deepEqual(decode(sample, bytes), [sample.message])
  })

  test(`${titleOf(sample)} without what may be left out has just the rest`, () => {
    const raw = rawFrameOf(sample)
    const fields = Object.entries(sample.table[sample.message.kind]!.fields)
    const required = new Map(
      fields.filter(([, { presence }]) => presence === 'required').map(([k, f]) => [f.number, k]),
    )
    const tensors = fields.filter(([, { isTensor }]) => isTensor)
    const kept = tensors
      .filter(([, { presence }]) => presence === 'required')
      .reduce(
        (sum, [name]) => sum + (sample.message as unknown as Record<string, { data: Uint8Array }>)[name]!.data.length,
        0,
      )
    const bytes = putTogether({
      code: raw.code,
      fields: raw.fields.filter(({ number }) => required.has(number)).toReversed(),
      payload: tensors.length > 1 ? Buffer.alloc(kept) : raw.payload.subarray(0, kept),
    })
    const [message] = decode(sample, bytes)
    const expected = fields
      .filter(([, { presence }]) => presence !== 'optional')
      .map(([name]) => name)
      .concat('kind')
    assert.deepEqual(Object.keys(message!).toSorted(), expected.toSorted())
  })

  const mutations = mutationsOf(sample)
  test(`${titleOf(sample)} is refused in ${mutations.length} false forms, and the field named`, () => {
    for (const { what, field, bytes } of mutations) {
      assert.throws(
        () => decode(sample, bytes),
        (error: PetalsError) => error.code === 'SWARM_FRAME' && error.message.includes(`"${field}"`),
        `${what} was taken, or not named`,
      )
    }
  })

  test(`${titleOf(sample)} with a field of a later version is taken without it`, () => {
    const raw = rawFrameOf(sample)
    const later = [
      { number: 90, wireType: 0, value: varint(7) },
      { number: 91, wireType: 1, value: Buffer.alloc(8) },
      { number: 92, wireType: 2, value: Buffer.of(2, 1, 1) },
    ]
    const bytes = putTogether({ ...raw, fields: [...later, ...raw.fields] })
    assert.deepEqual(decode(sample, bytes), [sample.message])
  })

  test(`${titleOf(sample)} cut short anywhere is a message or SWARM_FRAME, never anything else`, () => {
    const whole = putTogether(rawFrameOf(sample))
    const headerBytes = whole.readUInt32LE(0)
    for (let length = 1; length < headerBytes; length++) {
      const cut = Buffer.concat([whole.subarray(0, 8 + length), whole.subarray(8 + headerBytes)])
      cut.writeUInt32LE(length, 0)
      try {
        decode(sample, cut)
      } catch (error) {
        assert.equal((error as PetalsError).code, 'SWARM_FRAME', String(error))
      }
    }
  })
}

test('a message that is none of its side is refused by name, and by number', () => {
  const { requests, answers } = CODECS.inference
  const limits = RPC_LIMITS.inference
  assert.throws(() => encodeFrame({ kind: 'opened' }, requests, limits), {
    code: 'SWARM_FRAME',
    message: /request of inference: "opened" is none/,
  })
  for (const code of [14, 99, 255]) {
    assert.throws(
      () => decode({ codec: answers, limits }, putTogether({ code, fields: [], payload: Buffer.alloc(0) })),
      {
        code: 'SWARM_FRAME',
        message: new RegExp(`answer of inference: there is no message of number ${code}`),
      },
    )
  }
})

for (const position of [-1, 1.5, 2 ** 32, Number.NaN]) {
  test(`${position} is refused as a position instead of being wrapped`, () => {
    const step = { ...SAMPLES.push.requests[1]!, position }
    assert.throws(() => encodeFrame(step, CODECS.push.requests, RPC_LIMITS.push), {
      code: 'SWARM_FRAME',
      message: /"position" of "step" is/,
    })
  })
}

test('a decode step costs 25 bytes beside its hidden states', () => {
  const hidden = fromFloat32(new Float32Array(4096), [1, 4096])
  const step = { kind: 'step', epoch: 3, step: 900, position: 1800, push: true, hidden }
  const bytes = encodeFrame(step, CODECS.push.requests, RPC_LIMITS.push)
  assert.equal(bytes.byteLength - hidden.data.byteLength, 8 + 1 + 2 + 3 + 3 + 2 + 6)
})
