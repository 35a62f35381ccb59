import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Ended, ROOT, run, start } from './kit.ts'

async function runOn(t: TestContext, input: string, ...args: string[]): Promise<Ended> {
  const { child, ended, out } = start(t, ['tokenize', ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin!.end(input)
  return { code: await ended, ...out }
}

test('ids of a text are those of the reference, given as a word or on stdin, and give the text again', async (t) => {
  const { greedy } = JSON.parse(await readFile(join(ROOT, 'models', 'demo-golden.json'), 'utf8')) as {
    greedy: { prompt: string; input_ids: number[] }[]
  }
  const { prompt, input_ids: ids } = greedy[0]!
  const text = `${JSON.stringify(ids)}\n`
  assert.deepEqual(await run(t, 'tokenize', prompt), { code: 0, stdout: text, stderr: '' })
  assert.deepEqual(await runOn(t, prompt), { code: 0, stdout: text, stderr: '' })
  assert.ok((await run(t, 'tokenize', '--decode', ids.join(','))).stdout.endsWith(`${prompt}\n`))
  assert.ok((await runOn(t, text, '--decode')).stdout.endsWith(`${prompt}\n`))
})

test('a conversation is rendered as the model would get it', async (t) => {
  const messages = JSON.stringify([{ role: 'user', content: 'Hi' }])
  const rendered = '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n'
  const { stdout } = await runOn(t, messages, '--chat', '--template', 'chatml')
  assert.equal(stdout, rendered)
  const ids = (await runOn(t, messages, '--chat', '--ids', '--template', 'chatml')).stdout
  assert.equal((await runOn(t, ids, '--decode')).stdout, `${rendered}\n`)
})

test('what cannot be is refused by name', async (t) => {
  const cases: [string, string[], RegExp][] = [
    ['', ['--decode', '1,999999'], /--decode: 999999 is no token; this model has 0 to \d+\n/],
    ['', ['--decode', '1;2'], /--decode: expected token ids like \[5,17,3\], not "1;2"/],
    ['{', ['--chat'], /--chat: "\{" is no JSON/],
    ['[{"role":"dog","content":"a"}]', ['--chat', '--template', 'plain'], /--chat: expected .* not ".*dog/],
    ['', ['two', 'words'], /unexpected "words": put quotes around a text of several words/],
    ['', ['--chat', '--decode'], /exclude each other/],
  ]
  for (const [input, args, message] of cases) {
    const { code, stdout, stderr } = await runOn(t, input, ...args)
    assert.equal(code, 2, stderr)
    assert.equal(stdout, '')
    assert.match(stderr, message)
  }
})
