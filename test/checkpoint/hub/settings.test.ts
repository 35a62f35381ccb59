import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { expandPath, hubSettings } from '../../../src/checkpoint/hub/settings.ts'
import { parseModelSource } from '../../../src/checkpoint/hub/source.ts'
import { temporaryFolder } from '../write.ts'

const HOME = '/home/ada'

const FOLDERS: [string, Record<string, string>, string, string][] = [
  ['nothing is set', {}, '/home/ada/.cache/huggingface/hub', '/home/ada/.cache/huggingface/petals'],
  ['XDG_CACHE_HOME', { XDG_CACHE_HOME: '/xdg' }, '/xdg/huggingface/hub', '/xdg/huggingface/petals'],
  ['HF_HOME', { HF_HOME: '/hf', XDG_CACHE_HOME: '/xdg' }, '/hf/hub', '/hf/petals'],
  ['HF_HUB_CACHE alone', { HF_HUB_CACHE: '/big/cache' }, '/big/cache', '/big/petals'],
  ['both', { HF_HUB_CACHE: '/big/cache', HF_HOME: '/hf' }, '/big/cache', '/hf/petals'],
  ['the old name', { HUGGINGFACE_HUB_CACHE: '/old' }, '/old', '/petals'],
  ['the new name before the old', { HUGGINGFACE_HUB_CACHE: '/old', HF_HUB_CACHE: '/new/x' }, '/new/x', '/new/petals'],
  [
    'a tilde and a variable',
    { HF_HOME: '~/$DISK/${MODELS}', DISK: 'd1', MODELS: 'm' },
    '/home/ada/d1/m/hub',
    '/home/ada/d1/m/petals',
  ],
  ['an unknown variable stays', { HF_HOME: '/a/$NOPE' }, '/a/$NOPE/hub', '/a/$NOPE/petals'],
]

for (const [name, env, cacheFolder, partsFolder] of FOLDERS) {
  test(`folders follow the environment: ${name}`, () => {
    const settings = hubSettings({ HOME, ...env })
    assert.equal(settings.cacheFolder, cacheFolder)
    assert.equal(settings.partsFolder, partsFolder)
  })
}

test('the token is that of the environment, then of the file that `hf auth login` writes', async (t) => {
  const home = await temporaryFolder(t)
  assert.equal(hubSettings({ HF_HOME: home }).token, undefined)
  await writeFile(join(home, 'token'), 'from-file\n')
  assert.equal(hubSettings({ HF_HOME: home }).token, 'from-file')
  assert.equal(hubSettings({ HF_HOME: home, HUGGING_FACE_HUB_TOKEN: 'old' }).token, 'old')
  assert.equal(hubSettings({ HF_HOME: home, HUGGING_FACE_HUB_TOKEN: 'old', HF_TOKEN: ' new\r\n' }).token, 'new')
  assert.equal(hubSettings({ HF_HOME: home, HF_TOKEN: ' ' }).token, 'from-file')
  await writeFile(join(home, 'other'), 'elsewhere')
  assert.equal(hubSettings({ HF_HOME: home, HF_TOKEN_PATH: join(home, 'other') }).token, 'elsewhere')
})

test('offline by either name, with the values that Python takes for true', () => {
  for (const value of ['1', 'on', 'Yes', 'TRUE']) {
    assert.equal(hubSettings({ HF_HUB_OFFLINE: value }).offline, true, value)
    assert.equal(hubSettings({ TRANSFORMERS_OFFLINE: value }).offline, true, value)
  }
  for (const value of ['0', 'off', '', '2']) assert.equal(hubSettings({ HF_HUB_OFFLINE: value }).offline, false, value)
})

test('the endpoint loses its last slash; what is no address is refused', () => {
  assert.equal(hubSettings({}).endpoint, 'https://huggingface.co')
  assert.equal(hubSettings({ HF_ENDPOINT: 'http://mirror:8080/hub/' }).endpoint, 'http://mirror:8080/hub')
  assert.throws(() => hubSettings({ HF_ENDPOINT: 'mirror' }), /HF_ENDPOINT "mirror" must be an address/)
})

test('only a leading tilde and whole variable names are replaced', () => {
  assert.equal(expandPath('~', { HOME }), HOME)
  assert.equal(expandPath('/a/~', { HOME }), '/a/~')
  assert.equal(expandPath('~other/a', { HOME }), '~other/a')
  assert.equal(expandPath('/$A_B/x', { HOME, A: 'no', A_B: 'yes' }), '/yes/x')
})

test('paths are folders, other names are models of the hub', async (t) => {
  const folder = await temporaryFolder(t)
  assert.deepEqual(parseModelSource(folder), { kind: 'folder', folder })
  assert.deepEqual(parseModelSource('/not/there'), { kind: 'folder', folder: '/not/there' })
  assert.deepEqual(parseModelSource('./org/name'), { kind: 'folder', folder: './org/name' })
  assert.equal(parseModelSource('~/m').kind, 'folder')
  assert.deepEqual(parseModelSource('org/name-7B.v2'), { kind: 'hub', repo: 'org/name-7B.v2', revision: 'main' })
  assert.deepEqual(parseModelSource('org/name@refs/pr/1'), { kind: 'hub', repo: 'org/name', revision: 'refs/pr/1' })
  await mkdir(join(folder, 'org/name'), { recursive: true })
  const before = process.cwd()
  process.chdir(folder)
  try {
    assert.deepEqual(parseModelSource('org/name'), { kind: 'folder', folder: 'org/name' })
  } finally {
    process.chdir(before)
  }
})

for (const bad of [
  '',
  'gpt2',
  'a/b/c',
  'a/..',
  'a--b/c',
  'a/b c',
  '@main',
  'org/name@',
  'org/name@../x',
  'org/name@a/../b',
  'org/name@a\nb',
  'org/-x',
]) {
  test(`${JSON.stringify(bad)} names no model`, () => {
    assert.throws(() => parseModelSource(bad), { code: 'USAGE' })
  })
}
