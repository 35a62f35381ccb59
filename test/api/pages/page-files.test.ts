import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { answerWith } from '../../../src/api/pages/page-answer.ts'
import { PageFiles } from '../../../src/api/pages/page-files.ts'

const files = new PageFiles()

async function textOf(path: string): Promise<string> {
  const file = await files.get(path)
  assert.ok(file !== undefined, path)
  return file.body.toString()
}

test('a page may load what lies here and nothing else, and its one inline script is named by its hash', async () => {
  for (const path of ['/', '/swarm']) {
    const { policy = '', contentType } = (await files.get(path))!
    const html = await textOf(path)
    assert.equal(contentType, 'text/html; charset=utf-8')
    const inline = [...html.matchAll(/<script(?![^>]*\bsrc=)[^>]*>([^]*?)<\/script>/g)].map(([, text]) => text!)
    assert.equal(inline.length, 1)
    const hash = createHash('sha256').update(inline[0]!).digest('base64')
    assert.ok(policy.includes(`script-src 'self' 'sha256-${hash}';`))
    assert.match(policy, /^default-src 'none';/)
    assert.doesNotMatch(policy, /unsafe|https?:|\*/)
    assert.doesNotMatch(html, /\son\w+=|style="|https?:\/\//)
    for (const [, target] of html.matchAll(/\b(?:src|href)="([^"]+)"/g)) {
      assert.match(target!, /^\.\/pages\//)
      assert.ok(files.paths.includes(target!.slice(1)), target)
    }
  }
})

test('all that modules import is served, and none leads elsewhere', async () => {
  const [, importMap = ''] = /<script type="importmap">([^<]*)<\/script>/.exec(await textOf('/'))!
  const { imports } = JSON.parse(importMap) as { imports: Record<string, string> }
  for (const target of Object.values(imports)) assert.ok(files.paths.includes(target.slice(1)), target)
  let numImports = 0
  for (const path of files.paths.filter((each) => /\.m?js$/.test(each))) {
    const text = await textOf(path)
    assert.doesNotMatch(text, /^\s*(?:import|export) type\b/m, path)
    for (const [, target = ''] of text.matchAll(
      /(?:^|[;}\n])\s*(?:import|export)\b[^'"()]*?from\s*['"]([^'"]+)['"]/g,
    )) {
      numImports += 1
      const place = target.startsWith('.') ? join(dirname(path), target) : imports[target]?.slice(1)
      assert.ok(place !== undefined && files.paths.includes(place), `${path} imports ${target}`)
    }
  }
  assert.ok(numImports > 60)
})

test('files are only looked up by whole paths', async () => {
  const paths = [
    '/pages/../page-files.ts',
    '/pages/chat/../../../package.json',
    '/pages/%2e%2e/page-files.ts',
    '/pages/tsconfig.json',
    '/pages/highlight.d.js',
    '/pages/vendor/preact/package.json',
    '/pages/',
    '/pages',
    '/constructor',
    '/__proto__',
    '',
  ]
  for (const path of paths) assert.equal(await files.get(path), undefined, path)
  for (const path of files.paths) assert.doesNotMatch(path, /\.\.|\/\/|\.d\.ts|\.json/)
})

test('files are compressed for those who understand it, and not sent to those who have them', async () => {
  const file = (await files.get('/pages/styles/base.css'))!
  const plain = answerWith(file, {})
  assert.equal(plain.status, 200)
  assert.equal(plain.body, file.body)
  assert.equal(plain.headers['content-type'], 'text/css; charset=utf-8')
  assert.equal(plain.headers['x-content-type-options'], 'nosniff')
  assert.equal(plain.headers['referrer-policy'], 'no-referrer')
  for (const acceptEncoding of ['gzip', 'gzip, deflate, br', 'br;q=1.0, gzip;q=0.8', 'deflate, gzip;q=0.5']) {
    const { headers, body } = answerWith(file, { acceptEncoding })
    assert.equal(headers['content-encoding'], 'gzip')
    assert.deepEqual(gunzipSync(body!), file.body)
  }
  for (const acceptEncoding of ['', 'br', 'gzip;q=0', 'gzip;q=0.0, br'])
    assert.equal(answerWith(file, { acceptEncoding }).headers['content-encoding'], undefined, acceptEncoding)
  for (const ifNoneMatch of [file.etag, `W/${file.etag}`, `"other", ${file.etag}`]) {
    const { status, body, headers } = answerWith(file, { ifNoneMatch })
    assert.deepEqual([status, body, headers['etag']], [304, undefined, file.etag])
  }
  assert.equal(answerWith(file, { ifNoneMatch: '"other"' }).status, 200)
})
