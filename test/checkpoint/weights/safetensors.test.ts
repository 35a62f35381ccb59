import assert from 'node:assert/strict'
import { mkdir, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { PetalsError } from '../../../src/base/errors.ts'
import { readSafetensorsHeader } from '../../../src/checkpoint/weights/safetensors.ts'
import { tensor } from '../../../src/tensor/tensor.ts'
import { counting, safetensorsBytes, seededRandom, temporaryFolder, withHeader, writeSafetensors } from '../write.ts'

const DATA = new Uint8Array(64)

test('a header gives each tensor its absolute range, dtype and shape', async (t) => {
  const file = join(await temporaryFolder(t), 'a.safetensors')
  await writeSafetensors(
    file,
    {
      b: counting([2, 3]),
      a: tensor('bfloat16', [5], new Uint8Array(10)),
      scalar: counting([]),
      none: counting([0, 7]),
    },
    { format: 'pt' },
  )
  const slices = await readSafetensorsHeader(file)
  const start = slices[0]?.offset ?? 0
  assert.deepEqual(slices, [
    { name: 'b', file, offset: start, byteLength: 24, dtype: 'float32', shape: [2, 3] },
    { name: 'a', file, offset: start + 24, byteLength: 10, dtype: 'bfloat16', shape: [5] },
    { name: 'scalar', file, offset: start + 34, byteLength: 4, dtype: 'float32', shape: [] },
    { name: 'none', file, offset: start + 38, byteLength: 0, dtype: 'float32', shape: [0, 7] },
  ])
})

test('names that mean something to JavaScript are names', async (t) => {
  const file = join(await temporaryFolder(t), 'a.safetensors')
  const entry = '{"dtype":"F32","shape":[1],"data_offsets":'
  await writeFile(
    file,
    withHeader(`{"__proto__":${entry}[0,4]},"constructor":${entry}[4,8]},"":${entry}[8,12]}}`, DATA),
  )
  const slices = await readSafetensorsHeader(file)
  assert.deepEqual(
    slices.map((slice) => slice.name),
    ['__proto__', 'constructor', ''],
  )
  assert.equal(Object.hasOwn(Object.prototype, 'dtype'), false)
})

const entry = (offsets: string, shape = '[4]', dtype = '"F32"') =>
  `{"dtype":${dtype},"shape":${shape},"data_offsets":${offsets}}`

const BAD_HEADERS: [string, string, string, RegExp][] = [
  ['is not JSON', '{"a":', 'CHECKPOINT_HEADER', /not valid JSON/],
  ['is empty', '', 'CHECKPOINT_HEADER', /not valid JSON/],
  ['is a list', '[]', 'CHECKPOINT_HEADER', /must be a JSON object/],
  ['is null', 'null', 'CHECKPOINT_HEADER', /must be a JSON object/],
  ['is nested a hundred thousand deep', '['.repeat(1e5), 'CHECKPOINT_HEADER', /not valid JSON/],
  ['describes a tensor by a number', '{"a":1}', 'CHECKPOINT_HEADER', /tensor a must be described by an object/],
  ['lets tensors overlap', `{"a":${entry('[0,16]')},"b":${entry('[12,28]')}}`, 'CHECKPOINT_HEADER', /a and b overlap/],
  ['gives two tensors one range', `{"a":${entry('[0,16]')},"b":${entry('[0,16]')}}`, 'CHECKPOINT_HEADER', /overlap/],
  ['has a negative offset', `{"a":${entry('[-16,0]')}}`, 'CHECKPOINT_HEADER', /data_offsets \[-16,0\]/],
  ['has a fractional offset', `{"a":${entry('[0.5,16.5]')}}`, 'CHECKPOINT_HEADER', /data_offsets \[0.5,16.5\]/],
  ['has offsets beyond exact numbers', `{"a":${entry('[0,1e30]')}}`, 'CHECKPOINT_HEADER', /data_offsets/],
  ['has infinite offsets', `{"a":${entry('[0,1e999]')}}`, 'CHECKPOINT_HEADER', /data_offsets/],
  ['has three offsets', `{"a":${entry('[0,8,16]')}}`, 'CHECKPOINT_HEADER', /data_offsets \[0,8,16\]/],
  ['lacks offsets', '{"a":{"dtype":"F32","shape":[1]}}', 'CHECKPOINT_HEADER', /data_offsets missing/],
  [
    'has offsets the wrong way round',
    `{"a":${entry('[16,0]')}}`,
    'CHECKPOINT_HEADER',
    /takes 16 bytes, but data_offsets span -16/,
  ],
  [
    'has a range of another size',
    `{"a":${entry('[0,20]')}}`,
    'CHECKPOINT_HEADER',
    /takes 16 bytes, but data_offsets span 20/,
  ],
  ['has a negative dimension', `{"a":${entry('[0,16]', '[-4]')}}`, 'CHECKPOINT_HEADER', /shape \[-4\]/],
  ['has a fractional dimension', `{"a":${entry('[0,16]', '[1.5]')}}`, 'CHECKPOINT_HEADER', /shape \[1.5\]/],
  ['has a text as shape', `{"a":${entry('[0,16]', '"4"')}}`, 'CHECKPOINT_HEADER', /shape "4"/],
  [
    'has a shape that overflows',
    `{"a":${entry('[0,16]', '[4294967296,4294967296,4294967296]')}}`,
    'CHECKPOINT_HEADER',
    /takes/,
  ],
  ['lacks a dtype', '{"a":{"shape":[1],"data_offsets":[0,4]}}', 'CHECKPOINT_HEADER', /dtype missing/],
  ['has a number as dtype', `{"a":${entry('[0,16]', '[4]', '4')}}`, 'CHECKPOINT_HEADER', /dtype 4; it must be a text/],
  ['has an unread type backwards', `{"a":${entry('[16,0]', '[4]', '"F4"')}}`, 'CHECKPOINT_HEADER', /end is before/],
  ['has an unread type beyond', `{"a":${entry('[52,68]', '[4]', '"F64"')}}`, 'CHECKPOINT_TRUNCATED', /4 bytes/],
  [
    'has an unread type that overlaps',
    `{"a":${entry('[0,16]')},"b":${entry('[8,16]', '[1]', '"F64"')}}`,
    'CHECKPOINT_HEADER',
    /overlap/,
  ],
  ['names a tensor twice', `{"a":${entry('[0,16]')},"a":${entry('[16,32]')}}`, 'CHECKPOINT_HEADER', /names "a" twice/],
  [
    'names a tensor twice in two spellings',
    `{"a":${entry('[0,16]')},"\\u0061":${entry('[16,32]')}}`,
    'CHECKPOINT_HEADER',
    /names "a" twice/,
  ],
  [
    'names a field twice',
    '{"a":{"dtype":"F32","dtype":"F16","shape":[1],"data_offsets":[0,2]}}',
    'CHECKPOINT_HEADER',
    /"dtype" twice/,
  ],
  ['leaves the file', `{"a":${entry('[52,68]')}}`, 'CHECKPOINT_TRUNCATED', /4 bytes are missing/],
]

for (const [what, header, code, message] of BAD_HEADERS) {
  test(`a header that ${what} is refused as ${code}`, async (t) => {
    const file = join(await temporaryFolder(t), 'bad.safetensors')
    await writeFile(file, withHeader(header, DATA))
    await assert.rejects(readSafetensorsHeader(file), (error) => {
      assert.ok(error instanceof PetalsError)
      assert.equal(error.code, code)
      assert.match(error.message, message)
      assert.ok(error.message.includes(file), error.message)
      return true
    })
  })
}

test('a type that is not read here is told by its name, whatever its size', async (t) => {
  const file = join(await temporaryFolder(t), 'other.safetensors')
  const names = ['F64', 'F8_E5M2', 'constructor', 'F4']
  const header = names.map((name, i) => `"${name}":${entry(`[${8 * i},${8 * i + 8}]`, '[1]', `"${name}"`)}`)
  await writeFile(file, withHeader(`{${header.join()}}`, DATA))
  assert.deepEqual(
    (await readSafetensorsHeader(file)).map(({ dtype }) => dtype),
    names.map((name) => `unread type ${name}`),
  )
})

test('a header that is not UTF-8 is refused', async (t) => {
  const file = join(await temporaryFolder(t), 'bad.safetensors')
  await writeFile(file, withHeader(Uint8Array.of(0x7b, 0xff, 0x7d), DATA))
  await assert.rejects(readSafetensorsHeader(file), { code: 'CHECKPOINT_HEADER' })
})

test('a header longer than allowed is refused before it is read', async (t) => {
  const file = join(await temporaryFolder(t), 'bad.safetensors')
  await writeFile(file, Buffer.from('ffffffffffffffff7b7d', 'hex'))
  await assert.rejects(readSafetensorsHeader(file), {
    code: 'CHECKPOINT_HEADER',
    message: /18446744073709551615 bytes/,
  })
})

test('a truncated file is refused with the number of bytes that are missing, wherever it was cut', async (t) => {
  const file = join(await temporaryFolder(t), 'cut.safetensors')
  const whole = safetensorsBytes({ a: counting([4]), b: counting([4]) })
  await writeFile(file, whole)
  for (const [length, missing] of [
    [whole.length - 5, 5],
    [20, whole.readUInt32LE() + 8 - 20],
    [3, 5],
    [0, 8],
  ] as const) {
    await truncate(file, length)
    await assert.rejects(readSafetensorsHeader(file), {
      code: 'CHECKPOINT_TRUNCATED',
      message: new RegExp(`${missing} bytes`),
    })
  }
})

test('what is not a file is refused', async (t) => {
  const folder = await temporaryFolder(t)
  await mkdir(join(folder, 'a.safetensors'))
  await assert.rejects(readSafetensorsHeader(join(folder, 'a.safetensors')), { code: 'CHECKPOINT_MISSING_FILE' })
  await assert.rejects(readSafetensorsHeader(join(folder, 'b.safetensors')), { code: 'CHECKPOINT_MISSING_FILE' })
})

test('600 random mutations of a file each give slices within the file or a PetalsError', async (t) => {
  const file = join(await temporaryFolder(t), 'fuzz.safetensors')
  const whole = safetensorsBytes({
    'a.weight': counting([2, 4]),
    b: counting([3]),
    c: tensor('float16', [2], new Uint8Array(4)),
  })
  const random = seededRandom(20_260_101)
  const below = (limit: number) => Math.floor(random() * limit)
  const headerEnd = 8 + whole.readUInt32LE()
  const pieces = [
    '0',
    '9',
    '-',
    '.5',
    '"',
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    'e99',
    'null',
    '__proto__',
    '\\',
    '\\u0000',
    'F16',
    'BOOL',
  ]
  const mutations: ((bytes: Buffer) => Buffer)[] = [
    (bytes) => {
      bytes[below(headerEnd)] = below(256)
      return bytes
    },
    (bytes) => {
      bytes[8 + below(headerEnd - 8)] = 0x30 + below(10)
      return bytes
    },
    (bytes) => bytes.subarray(0, below(bytes.length)),
    (bytes) => {
      bytes[below(8)] = below(256)
      return bytes
    },
    (bytes) => {
      const at = 8 + below(headerEnd - 8)
      const cut = below(4)
      const header = Buffer.concat([
        bytes.subarray(8, at),
        Buffer.from(pieces[below(pieces.length)] ?? ''),
        bytes.subarray(at + cut, headerEnd),
      ])
      return withHeader(header, bytes.subarray(headerEnd))
    },
  ]
  let refused = 0
  for (let i = 0; i < 600; i++) {
    const mutated = mutations[i % mutations.length]?.(Buffer.from(whole)) ?? whole
    await writeFile(file, mutated)
    try {
      for (const slice of await readSafetensorsHeader(file)) {
        assert.ok(slice.offset >= 8 && slice.offset + slice.byteLength <= mutated.length)
      }
    } catch (error) {
      assert.ok(error instanceof PetalsError, String(error))
      refused++
    }
  }
  assert.ok(refused > 300 && refused < 600, `${refused} refused`)
})
