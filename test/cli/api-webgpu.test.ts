import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { type GoldenText, goldenTexts } from '../client/kit.ts'
import { ON_WEBGPU, PATIENTLY } from '../webgpu.ts'
import { LOOPBACK, ROOT, startReady, until } from './kit.ts'

const MOBY = join(ROOT, 'models/demo-lora-moby')

test(
  'a server with --device webgpu answers over HTTP, with its adapter and without, on the device from end to end',
  { ...ON_WEBGPU, ...PATIENTLY },
  async (t) => {
    const options = ['--device', 'webgpu', '--attn-cache-tokens', '4096', '--adapters', MOBY, '--api-port', '0']
    const server = await startReady(t, ['serve', ...LOOPBACK, '--threads', '1', ...options])
    const url = `http://127.0.0.1:${server.report.httpPort}/v1`
    const ask = async (path: string, body: object): Promise<Response> => {
      const headers = { 'content-type': 'application/json' }
      const response = await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) })
      assert.equal(response.status, 200, await response.clone().text())
      return response
    }
    const models = async () => ((await (await fetch(`${url}/models`)).json()) as { data: unknown[] }).data
    await until('the adapter is known', async () => ((await models()).length === 2 ? true : undefined))
    const adapted = JSON.parse(await readFile(`${MOBY}-golden.json`, 'utf8')) as { greedy: GoldenText[] }
    const texts = { demo: (await goldenTexts())[0]!, 'demo-lora-moby': adapted.greedy[0]! }
    await Promise.all(
      Object.entries(texts).map(async ([model, { prompt, text }]) => {
        const body = { model, prompt, max_tokens: 16, temperature: 0, ignore_eos: true }
        const { choices } = (await (await ask('/completions', body)).json()) as { choices: { text: string }[] }
        const answer = choices[0]!.text
        assert.ok(answer.length > 0 && text.slice(prompt.length).startsWith(answer), `${model}: ${answer}`)
      }),
    )
    const chat = { model: 'demo', messages: [{ role: 'user', content: 'Who are you?' }], max_tokens: 8, stream: true }
    const stream = await (await ask('/chat/completions', { ...chat, ignore_eos: true })).text()
    assert.ok(stream.endsWith('data: [DONE]\n\n') && stream.includes('"finish_reason":"length"'), stream)
    server.child.kill('SIGTERM')
    assert.equal(await server.ended, 0, server.out.stderr)
  },
)
