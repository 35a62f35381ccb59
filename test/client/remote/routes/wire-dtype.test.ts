import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  agreedWireDType,
  answerDType,
  checkWireChoice,
  encodeOwn,
  passOn,
} from '../../../../src/client/remote/routes/wire-dtype.ts'
import { WIRE_DTYPES } from '../../../../src/tensor/activations.ts'
import { convert } from '../../../../src/tensor/convert.ts'
import { fromFloat32 } from '../../../../src/tensor/tensor.ts'
import { encodeActivations, widen } from '../../../../src/tensor/travel.ts'

const values = fromFloat32(Float32Array.of(1.001, -2.002, 3e-9), [1, 3])
const NEW = { dtype: 'float32', wireDTypes: [...WIRE_DTYPES] }
const OLD = { dtype: 'bfloat16' }

test('without a choice each server is sent, and sends, what it computes in', async () => {
  assert.equal(await encodeOwn(values, NEW, 'auto'), values)
  for (const dtype of ['float16', 'bfloat16'] as const) {
    assert.deepEqual(await encodeOwn(values, { ...NEW, dtype }, 'auto'), convert(values, dtype))
    assert.equal(answerDType({ ...NEW, dtype }, 'auto'), dtype)
  }
  const half = convert(values, 'float16')
  assert.equal(await encodeOwn(half, NEW, 'auto'), half, 'what is narrower already is not widened')
})

test('a form is used where the record has it, else the server is treated as without a choice', async () => {
  for (const wire of WIRE_DTYPES) {
    assert.equal(agreedWireDType(NEW, wire), wire)
    assert.deepEqual(await encodeOwn(values, NEW, wire), await encodeActivations(values, wire))
    assert.equal(agreedWireDType(OLD, wire), undefined)
    assert.deepEqual(await encodeOwn(values, OLD, wire), convert(values, 'bfloat16'))
    assert.equal(answerDType(OLD, wire), 'bfloat16')
  }
  assert.equal(answerDType(NEW, 'int8'), 'int8-blocks')
})

test('a form that rounds is refused where nothing must be rounded', () => {
  for (const wire of WIRE_DTYPES) checkWireChoice(wire)
  for (const wire of ['auto', 'float32']) checkWireChoice(wire, { exact: true })
  for (const wire of WIRE_DTYPES.filter((each) => each !== 'float32'))
    assert.throws(() => checkWireChoice(wire, { exact: true }), { code: 'USAGE', message: /rounded on their way/ })
  assert.throws(() => checkWireChoice('int9', { exact: true }), { code: 'USAGE', message: /expected one of auto/ })
})

test('what another server has made is handed on as it is, unpacked where the next one cannot', async () => {
  const packed = await encodeActivations(values, 'int8')
  assert.equal(await passOn(packed, NEW), packed)
  assert.deepEqual(await passOn(packed, OLD), widen(packed))
  assert.equal(await passOn(values, OLD), values)
})
