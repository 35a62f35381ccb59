import assert from 'node:assert/strict'
import { test } from 'node:test'
import { reconcile, type WantedTensor } from '../../../src/checkpoint/weights/reconcile.ts'
import type { TensorSlice } from '../../../src/checkpoint/weights/safetensors.ts'

function stored(...entries: [string, readonly number[], TensorSlice['dtype']?][]) {
  const slices = entries.map(([name, shape, dtype = 'bfloat16']): TensorSlice => ({
    name,
    shape,
    dtype,
    file: '/m/model.safetensors',
    offset: 0,
    byteLength: 0,
  }))
  return { folder: '/m', tensors: new Map(slices.map((slice) => [slice.name, slice])) }
}

const WANTED: WantedTensor[] = [
  { name: 'model.layers.1.up.weight', shape: [4, 2] },
  { name: 'model.layers.1.norm.weight', shape: [2] },
]
const SCOPE = { prefixes: ['model.layers.1.'] }

test('each wanted tensor is found, and other blocks do not matter', () => {
  const checkpoint = stored(
    ['model.layers.1.up.weight', [4, 2]],
    ['model.layers.1.norm.weight', [2], 'float32'],
    ['model.layers.10.up.weight', [9]],
  )
  const found = reconcile(WANTED, checkpoint, SCOPE)
  assert.deepEqual(
    [...found.keys()],
    WANTED.map((tensor) => tensor.name),
  )
  assert.equal(found.get('model.layers.1.up.weight'), checkpoint.tensors.get('model.layers.1.up.weight'))
})

test('a leading "model." makes no difference, on either side', () => {
  const bare = stored(['layers.1.up.weight', [4, 2]], ['layers.1.norm.weight', [2]])
  assert.equal(reconcile(WANTED, bare, SCOPE).get('model.layers.1.norm.weight')?.name, 'layers.1.norm.weight')
  const full = stored(['model.layers.1.up.weight', [4, 2]])
  assert.equal(reconcile([{ name: 'layers.1.up.weight', shape: [4, 2] }], full, { prefixes: ['layers.1.'] }).size, 1)
  const extra = stored(['layers.1.up.weight', [4, 2]], ['layers.1.norm.weight', [2]], ['layers.1.bias', [2]])
  assert.throws(() => reconcile(WANTED, extra, SCOPE), { code: 'CHECKPOINT_UNUSED_TENSOR' })
})

test('missing tensors are named, the first few of many', () => {
  assert.throws(() => reconcile(WANTED, stored(), SCOPE), {
    code: 'CHECKPOINT_MISSING_TENSOR',
    message: '/m lacks tensors that the model needs: model.layers.1.up.weight, model.layers.1.norm.weight (2 in all)',
  })
  const many = Array.from({ length: 40 }, (_, i) => ({ name: `t${i}`, shape: [1] }))
  assert.throws(() => reconcile(many, stored(), SCOPE), { message: /: t0, t1, t2, t3, t4 and 35 more \(40 in all\)$/ })
})

test('a wrong shape is named with both shapes', () => {
  const checkpoint = stored(['model.layers.1.up.weight', [2, 4]], ['model.layers.1.norm.weight', [2]])
  assert.throws(() => reconcile(WANTED, checkpoint, SCOPE), {
    code: 'CHECKPOINT_SHAPE',
    message: /up\.weight \[2,4\] instead of \[4,2\]/,
  })
})

test('weights that are integers are refused', () => {
  const checkpoint = stored(['model.layers.1.up.weight', [4, 2], 'int8'], ['model.layers.1.norm.weight', [2]])
  assert.throws(() => reconcile(WANTED, checkpoint, SCOPE), {
    code: 'CHECKPOINT_DTYPE',
    message: /up\.weight \(int8\)/,
  })
})

test('weights of a type that is not read are refused by its name', () => {
  const checkpoint = stored(
    ['model.layers.1.up.weight', [4, 2], 'unread type F64'],
    ['model.layers.1.norm.weight', [2]],
  )
  assert.throws(() => reconcile(WANTED, checkpoint, SCOPE), {
    code: 'CHECKPOINT_DTYPE',
    message: /up\.weight \(unread type F64\)/,
  })
})

test('a stored tensor in scope that nothing wants is refused, unless its name may be ignored', () => {
  const checkpoint = stored(
    ['model.layers.1.up.weight', [4, 2]],
    ['model.layers.1.norm.weight', [2]],
    ['model.layers.1.rotary_emb.inv_freq', [8], 'unread type F64'],
    ['model.layers.1.memory', [8]],
    ['model.layers.1.adapter', [1]],
  )
  assert.throws(() => reconcile(WANTED, checkpoint, SCOPE), {
    code: 'CHECKPOINT_UNUSED_TENSOR',
    message: /: model\.layers\.1\.memory, model\.layers\.1\.adapter \(2 in all\)/,
  })
  const ignore = [/memory$/]
  assert.throws(() => reconcile(WANTED, checkpoint, { ...SCOPE, ignore }), { message: /adapter \(1 in all\)/ })
  assert.equal(reconcile(WANTED, checkpoint, { ...SCOPE, ignore: [...ignore, /adapter/] }).size, 2)
})
