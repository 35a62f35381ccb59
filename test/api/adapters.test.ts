import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { openAdapter } from '../../src/checkpoint/adapter/adapter.ts'
import type { GoldenText } from '../client/kit.ts'
import { eventually } from '../eventually.ts'
import { type TestApi, post, startTestApi } from './kit.ts'

const MOBY = join(import.meta.dirname, '../../models/demo-lora-moby')

interface Completion {
  readonly model: string
  readonly choices: readonly { readonly text: string }[]
}

interface ModelList {
  readonly data: readonly { readonly id: string; readonly root: string; readonly parent: string | null }[]
}

let api: TestApi
/** What the reference generates with the adapter. */
let golden: GoldenText[]
before(async () => {
  api = await startTestApi({}, { adapters: [await openAdapter(MOBY)] })
  golden = (JSON.parse(await readFile(`${MOBY}-golden.json`, 'utf8')) as { greedy: GoldenText[] }).greedy
  // The API learns of adapters from the servers' records.
  await eventually(async () => (await listed()).length === 2)
})
after(() => api.stop())

async function listed(): Promise<ModelList['data']> {
  return ((await (await fetch(`${api.url}/v1/models`)).json()) as ModelList).data
}

async function complete(model: string, { input_ids: prompt, greedy_ids: ids }: GoldenText): Promise<Completion> {
  const body = { model, prompt, max_tokens: ids.length - prompt.length, temperature: 0, ignore_eos: true }
  const { status, json } = await post(`${api.url}/v1/completions`, body)
  assert.equal(status, 200, JSON.stringify(json))
  return json as Completion
}

/** What the model and its adapter answer. */
function answers(path: string, body: object): Promise<unknown[]> {
  return Promise.all(
    ['demo', 'demo-lora-moby'].map(async (model) => {
      const { status, json } = await post(api.url + path, { ...body, model })
      assert.equal(status, 200, JSON.stringify(json))
      assert.equal((json as Completion).model, model)
      const { data, choices } = json as { data?: { embedding: unknown }[]; choices?: { message: unknown }[] }
      return data?.[0]!.embedding ?? choices?.[0]!.message
    }),
  )
}

test('an adapter is listed as a model below its own', async () => {
  assert.deepEqual(
    (await listed()).map(({ id, root, parent }) => ({ id, root, parent })),
    [
      { id: 'demo', root: 'demo', parent: null },
      { id: 'demo-lora-moby', root: 'demo-lora-moby', parent: 'demo' },
    ],
  )
  const card = (await (await fetch(`${api.url}/v1/models/demo-lora-moby`)).json()) as ModelList['data'][number]
  assert.deepEqual([card.id, card.parent], ['demo-lora-moby', 'demo'])
})

test("who names the adapter gets the reference's text with it, and who names the model another", async () => {
  const prompt = golden[0]!
  const [adapted, base] = [await complete('demo-lora-moby', prompt), await complete('demo', prompt)]
  const text = prompt.text.slice(prompt.prompt.length)
  assert.deepEqual([adapted.model, adapted.choices[0]!.text], ['demo-lora-moby', text])
  assert.equal(base.model, 'demo')
  assert.notEqual(base.choices[0]!.text, text)
  // In whatever order: what servers hold of one is not gone on with by the other.
  assert.equal((await complete('demo-lora-moby', prompt)).choices[0]!.text, text)
})

test('embeddings and chats are computed with it, too', async () => {
  const input = golden[0]!.input_ids
  const messages = [{ role: 'user', content: 'Of the whale' }]
  for (const [path, body] of [
    ['/v1/embeddings', { input }],
    ['/v1/chat/completions', { messages, max_tokens: 24, temperature: 0 }],
  ] as const) {
    const [base, adapted] = await answers(path, body)
    assert.notDeepEqual(adapted, base, path)
  }
})
