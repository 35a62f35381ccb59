import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UsageError } from '../../../src/base/errors.ts'
import { type Adapter, type AdapterKind, byPreference } from '../../../src/runtime/webgpu/adapter.ts'
import { driverFileOf } from '../../../src/runtime/webgpu/choose-adapter.ts'
import { webGpuAvailable, webGpuBackend } from '../../../src/runtime/webgpu/platform.ts'
import { parseDType, parseDevice, deviceText } from '../../../src/runtime/device.ts'

function adapter(name: string, kind: AdapterKind): Adapter {
  return { name, kind, driverVersion: '1.2.3', totalBytes: 100, freeBytes: 50 }
}

const [card, twin, chip, software] = [
  adapter('card', 'discrete'),
  adapter('twin', 'discrete'),
  adapter('chip', 'integrated'),
  adapter('soft', 'software'),
]

/** Drivers by their files, and what each has. */
function machine(drivers: Readonly<Record<string, readonly Adapter[]>>) {
  const looks = {
    look: (file = '') => ({ adapters: byPreference(file === '' ? Object.values(drivers).flat() : drivers[file]!) }),
  }
  return (index: number) => driverFileOf({ kind: 'webgpu', index }, looks, Object.keys(drivers))
}

test('adapters are numbered as the library prefers them: software last', () => {
  assert.deepEqual(byPreference([software, chip, card, twin]), [card, twin, chip, software])
})

test('another adapter than the first is chosen by its driver', { skip: process.platform !== 'linux' }, () => {
  const choose = machine({ 'soft.json': [software], 'chip.json': [chip], 'card.json': [card] })
  assert.deepEqual([1, 2].map(choose), ['chip.json', 'soft.json'])
  assert.throws(() => choose(3), { code: 'USAGE', message: /adapter 3: .*this machine has 3/ })
  const shared = machine({ 'cards.json': [card, twin] })
  assert.throws(
    () => shared(1),
    (error) => error instanceof UsageError && /twin shares its driver/.test(error.message),
  )
})

test('a platform whose library has no WebGPU is told so', () => {
  assert.equal(webGpuBackend('darwin', 'arm64'), 'Metal')
  assert.equal(webGpuAvailable('linux', 'x64'), undefined)
  assert.match(webGpuAvailable('linux', 'arm64')!, /no WebGPU for linux arm64.*--device cpu/)
})

test('webgpu and webgpu:N are devices, and compute in float32 unless told', () => {
  const device = parseDevice('webgpu:2', () => false)
  assert.deepEqual(device, { kind: 'webgpu', index: 2 })
  assert.equal(deviceText(device), 'webgpu:2')
  assert.equal(deviceText(parseDevice('webgpu', () => false)), 'webgpu')
  assert.equal(parseDType('auto', device, 'bfloat16'), 'float32')
  assert.equal(parseDType('float16', device, 'bfloat16'), 'float16')
  assert.throws(() => parseDType('bfloat16', device, 'bfloat16'), { code: 'USAGE', message: /float32 or float16/ })
})
