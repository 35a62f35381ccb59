import assert from 'node:assert/strict'
import { open, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { mkdirSync } from 'node:fs'
import { test } from 'node:test'
import { folderError } from '../../../src/checkpoint/hub/errors.ts'
import { fetchTensors } from '../../../src/checkpoint/hub/download/fetch-tensors.ts'
import { openModel } from '../../../src/checkpoint/open-model.ts'
import type { HubSettings } from '../../../src/checkpoint/hub/settings.ts'
import { withHeader } from '../write.ts'
import { filesBelow, freshSettings, modelFiles, TINY } from './kit.ts'
import { type Behaviour, REPO, StandInHub } from './server.ts'

const FILES = modelFiles(TINY)

interface Refusal {
  readonly behaviour?: Behaviour
  readonly settings?: Partial<HubSettings>
  readonly model?: string
  readonly code: string
  readonly says: RegExp
}

const OPENING: Record<string, Refusal> = {
  'a gated model without a token': {
    behaviour: { gated: true },
    code: 'HUB_GATED',
    says: /accept its conditions at http:\S+\/tiny\/llama, then make a token .* HF_TOKEN, or with `hf auth login`/,
  },
  'a token that the hub does not know': {
    settings: { token: 'wrong' },
    code: 'HUB_TOKEN',
    says: /refuses the token for tiny\/llama \(401, Invalid credentials\): make a new one/,
  },
  'a private model without a token': {
    behaviour: { privateRepo: true },
    code: 'HUB_REPO_NOT_FOUND',
    says: /has no model tiny\/llama, or it is private: then give one in HF_TOKEN/,
  },
  'a model that is not there': {
    model: 'tiny/gone',
    code: 'HUB_REPO_NOT_FOUND',
    says: /If a folder was meant, write .\/tiny\/gone/,
  },
  'a revision that is not there': {
    model: `${REPO}@v9`,
    code: 'HUB_REVISION_NOT_FOUND',
    says: /has no revision v9: see http/,
  },
  'a hub that limits the rate for longer than one waits': {
    behaviour: { tooMany: 100, retryAfter: '300' },
    code: 'HUB_RATE_LIMITED',
    says: /try again in 300 s; requests with a token have a higher limit/,
  },
  'a hub in trouble': { behaviour: { unavailable: 100 }, code: 'HUB_UNAVAILABLE', says: /\(503\): try again later/ },
  'nobody at the address': {
    settings: { endpoint: 'http://127.0.0.1:9' },
    code: 'HUB_CONNECTION',
    says: /the connection to 127.0.0.1:9 failed \(.*\): check the network/,
  },
  'offline and not in the cache': {
    settings: { offline: true },
    code: 'HUB_OFFLINE',
    says: /tiny\/llama@main is not in the cache.*unset HF_HUB_OFFLINE/,
  },
  'a server that ignores ranges': {
    behaviour: { ignoresRange: true },
    code: 'HUB_RANGES',
    says: /ignores byte ranges.*choose another HF_ENDPOINT/,
  },
  'a range other than asked for': {
    behaviour: { wrongRange: true },
    code: 'HUB_CONTENT',
    says: /asked for bytes 0-\d+\/\d+, got "bytes 1-/,
  },
  'a commit that is none': {
    behaviour: { sha: '../../../etc' },
    code: 'HUB_ANSWER',
    says: /does not answer as a model hub does/,
  },
  'a redirect to something else': {
    behaviour: { locationPrefix: 'file:///etc' },
    code: 'HUB_ANSWER',
    says: /redirects to "file:/,
  },
}

for (const [name, { behaviour, settings, model = REPO, code, says }] of Object.entries(OPENING)) {
  test(`one clear error: ${name}`, async (t) => {
    const hub = await StandInHub.start(t, FILES, behaviour)
    await assert.rejects(openModel(model, { settings: await freshSettings(t, hub, settings) }), {
      name: 'HubError',
      code,
      message: says,
    })
  })
}

test('a repository without config.json is no model', async (t) => {
  const hub = await StandInHub.start(t, new Map([['README.md', Buffer.from('')]]))
  await assert.rejects(openModel(REPO, { settings: await freshSettings(t, hub) }), {
    code: 'HUB_FILE_NOT_FOUND',
    message: /no config.json/,
  })
})

test('a shard that the index names and the hub lacks is named', async (t) => {
  const files = new Map(FILES)
  files.delete('model-00003-of-00004.safetensors')
  const hub = await StandInHub.start(t, files)
  await assert.rejects(openModel(REPO, { settings: await freshSettings(t, hub) }), {
    code: 'HUB_FILE_NOT_FOUND',
    message: /model-00003-of-00004/,
  })
})

test('a few refusals are waited out', async (t) => {
  const hub = await StandInHub.start(t, FILES, { tooMany: 2, unavailable: 2 })
  assert.equal((await openModel(REPO, { settings: await freshSettings(t, hub) })).tensors.size, 183)
})

const FETCHING: Record<string, [Behaviour, string, RegExp]> = {
  'a file that has another version by now': [
    { etag: 'f'.repeat(64) },
    'HUB_CONTENT',
    /its etag is .*f{64}.* instead of/,
  ],
  'bytes that are damaged on the way': [
    { damages: true },
    'HUB_CONTENT',
    /arrived with checksum \w+ instead of \w+, and was thrown away/,
  ],
  'a connection that always breaks at once': [
    { cutAfterBytes: 0 },
    'HUB_CONNECTION',
    /the connection to 127.0.0.1:\d+ failed/,
  ],
}

for (const [name, [behaviour, code, says]] of Object.entries(FETCHING)) {
  test(`one clear error, and no blob: ${name}`, async (t) => {
    const hub = await StandInHub.start(t, FILES)
    const settings = await freshSettings(t, hub)
    const checkpoint = await openModel(REPO, { settings })
    Object.assign(hub.behaviour, behaviour)
    const names = [...checkpoint.tensors.values()]
      .filter(({ file }) => file.includes('model-00004'))
      .map((slice) => slice.name)
    await assert.rejects(fetchTensors(checkpoint, names), { name: 'HubError', code, message: says })
    const blobs = [...(await filesBelow(settings.cacheFolder)).keys()].filter((file) => /blobs\/\w{64}/.test(file))
    assert.deepEqual(blobs, [])
  })
}

test('offline, what is missing is named', async (t) => {
  const hub = await StandInHub.start(t, FILES)
  const settings = await freshSettings(t, hub)
  await openModel(REPO, { settings })
  const checkpoint = await openModel(REPO, { settings: { ...settings, offline: true } })
  await assert.rejects(fetchTensors(checkpoint, ['lm_head.weight']), {
    code: 'HUB_OFFLINE',
    message: /model-00001-of-00004.safetensors of tiny\/llama is not in the cache/,
  })
})

test('a disk that is too small is noticed before anything is downloaded', async (t) => {
  const terabytes = 2 ** 44
  const header = JSON.stringify({
    'model.norm.weight': { dtype: 'F32', shape: [terabytes / 4], data_offsets: [0, terabytes] },
  })
  const shard = withHeader(header, new Uint8Array())
  const files = new Map([
    ['config.json', FILES.get('config.json')!],
    ['model.safetensors', Buffer.concat([shard, Buffer.alloc(40_000)])],
  ])
  const hub = await StandInHub.start(t, files, { announcedBytes: shard.length + terabytes })
  const checkpoint = await openModel(REPO, { settings: await freshSettings(t, hub) })
  hub.forget()
  await assert.rejects(fetchTensors(checkpoint, ['model.norm.weight']), {
    code: 'HUB_DISK_FULL',
    message: /17\.6 TB are to be downloaded.*set HF_HOME/,
  })
  assert.deepEqual(hub.log, [])
})

test('a disk that fills up meanwhile is the same error', async () => {
  const full = await open('/dev/full', 'w')
  const error: unknown = await full.write('a').then(
    () => undefined,
    (error: unknown) => error,
  )
  await full.close()
  const mapped = folderError(error, '/models')
  assert.ok(mapped instanceof Error && 'code' in mapped)
  assert.equal(mapped.code, 'HUB_DISK_FULL')
  assert.match(mapped.message, /^the disk of \/models is full: free some space there, or set HF_HOME/)
})

test('a cache folder that cannot be made is one sentence', async (t) => {
  const hub = await StandInHub.start(t, FILES)
  const settings = await freshSettings(t, hub)
  mkdirSync(dirname(settings.cacheFolder), { recursive: true })
  await writeFile(settings.cacheFolder, 'a file')
  await assert.rejects(openModel(REPO, { settings }), {
    code: 'HUB_FOLDER',
    message: /hub cannot be used \(ENOTDIR.*set HF_HOME to another folder/,
  })
})

const HOSTILE: Record<string, [Map<string, Buffer>, string]> = {
  'file names that lead out of the folder': [
    new Map([
      ...FILES,
      ['../../tokenizer.json', Buffer.from('{}')],
      ['tokenizer/../../config.json', Buffer.from('{}')],
      ['/etc/tokenizer.json', Buffer.from('{}')],
    ]),
    '',
  ],
  'an index that leads out of the folder': [
    new Map([...FILES, ['model.safetensors.index.json', Buffer.from('{"weight_map":{"a":"../../x.safetensors"}}')]]),
    'CHECKPOINT_INDEX',
  ],
  'an absurd header length': [
    new Map([...FILES, ['model-00002-of-00004.safetensors', Buffer.alloc(50_000, 0xff)]]),
    'CHECKPOINT_HEADER',
  ],
  'a header longer than the file': [
    new Map([
      ...FILES,
      ['model-00002-of-00004.safetensors', withHeader(Buffer.alloc(0), Buffer.alloc(3)).fill(9, 0, 2)],
    ]),
    'CHECKPOINT_TRUNCATED',
  ],
  'an empty shard': [
    new Map([...FILES, ['model-00002-of-00004.safetensors', Buffer.alloc(0)]]),
    'CHECKPOINT_TRUNCATED',
  ],
}

for (const [name, [files, code]] of Object.entries(HOSTILE)) {
  test(`a hostile hub writes nothing elsewhere: ${name}`, async (t) => {
    const hub = await StandInHub.start(t, files)
    const settings = await freshSettings(t, hub)
    if (code === '') await openModel(REPO, { settings })
    else await assert.rejects(openModel(REPO, { settings }), { code })
    const home = dirname(settings.cacheFolder)
    const elsewhere = [...(await filesBelow(home)).keys()].filter(
      (file) => !/^(hub|petals)\/models--tiny--llama\//.test(file),
    )
    assert.deepEqual(elsewhere, [])
  })
}
