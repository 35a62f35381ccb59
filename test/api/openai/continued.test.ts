import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type TestApi, post, startTestApi } from '../kit.ts'

const TEMPLATE = `{% for message in messages %}<{{ message.role }}>{{ message.content | trim }}</s>
{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}`

let api: TestApi
let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'petals-continued-'))
  const template = join(folder, 'template.jinja')
  await writeFile(template, TEMPLATE)
  api = await startTestApi({}, { template })
})
after(async () => {
  await api.stop()
  await rm(folder, { recursive: true })
})

const asked = { role: 'user', content: 'My question' }
const begun = (content: string) => [asked, { role: 'assistant', content }]

const promptOf = async (fields: object): Promise<string> =>
  ((await post(`${api.url}/apply-template`, fields)).json as { prompt: string }).prompt

test('a last message of the assistant is one of many, unless it is to be continued', async () => {
  const messages = begun('Of the ')
  assert.equal(await promptOf({ messages }), '<user>My question</s>\n<assistant>Of the</s>\n<assistant>')
  const prompt = await promptOf({ messages, continue_final_message: true })
  assert.equal(prompt, '<user>My question</s>\n<assistant>Of the')
  // What it says may have been said before.
  const twice = await promptOf({ messages: begun('My question'), continue_final_message: true })
  assert.equal(twice, '<user>My question</s>\n<assistant>My question')
  // What it says may be a part of what the template puts behind it.
  for (const text of ['<', 's', '/s>'])
    assert.equal(
      await promptOf({ messages: begun(text), continue_final_message: true }),
      `<user>My question</s>\n<assistant>${text}`,
    )
})

test("in Anthropic's form it is always continued, and the answer is only what comes behind it", async () => {
  const body = { model: 'demo', max_tokens: 12, temperature: 0, messages: begun('Of the people') }
  const { json } = await post(`${api.url}/v1/messages`, body)
  const [block] = (json as { content: { text: string }[] }).content
  const prompt = '<user>My question</s>\n<assistant>Of the people'
  const fields = { model: 'demo', prompt, max_tokens: 12, temperature: 0, add_special_tokens: false }
  const whole = (await post(`${api.url}/v1/completions`, fields)).json as { choices: { text: string }[] }
  assert.equal(block!.text, whole.choices[0]!.text)
  const counted = await post(`${api.url}/v1/messages/count_tokens`, body)
  const { count } = (await post(`${api.url}/tokenize`, { prompt, add_special_tokens: false })).json as { count: number }
  assert.deepEqual(counted.json, { input_tokens: count })
})

test('a call of a tool, or a message of somebody else, is not continued', async () => {
  const call = { id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }
  for (const fields of [
    { messages: [asked] },
    { messages: begun('') },
    { messages: [asked, { role: 'assistant', content: 'I look', tool_calls: [call] }] },
    { messages: begun('Of'), add_generation_prompt: true },
  ]) {
    const { status, json } = await post(`${api.url}/apply-template`, { ...fields, continue_final_message: true })
    const { param } = (json as { error: { param: string } }).error
    assert.deepEqual([status, param], [400, 'continue_final_message'])
  }
})
