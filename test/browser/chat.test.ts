import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Page } from 'playwright-core'
import { accessibilityFaults } from './checks.ts'
import { browserIsMissing, screenshot } from './chromium.ts'
import { snapshotOf, threeServers } from './snapshots.ts'
import { type ChatAnswer, type ChatRequest, StandIn } from './stand-in.ts'
import { pagesOf } from './suite.ts'
import { LONG_CODE, RICH_ANSWER } from './texts.ts'

const LAST_ANSWER = '.message.assistant:last-child'

describe('the chat', { skip: browserIsMissing() }, () => {
  const standIn = new StandIn()
  const open = pagesOf(standIn)

  function answersWith(answer: (request: ChatRequest, answer: ChatAnswer) => Promise<void>): void {
    standIn.chats.length = 0
    standIn.answer = answer
  }

  test('streams an answer, and stops: the server is left at once, and what came stays', async (t) => {
    const left = Promise.withResolvers<void>()
    answersWith(async (_, answer) => {
      answer.signal.addEventListener('abort', () => left.resolve())
      await answer.text('one two three ')
      await answer.text('and so on '.repeat(2000), { pieceMs: 20 })
    })
    const { page, faults, foreign } = await open(t)
    await send(page, 'Count.')
    await page.getByText('one two three').waitFor()
    await page.getByText('and so on').waitFor()
    await page.getByText(/about .* tokens\/s/).waitFor()
    await page.getByRole('button', { name: 'Stop' }).click()
    await left.promise
    await page.getByText('Stopped.', { exact: true }).first().waitFor()
    await page.reload()
    await page.locator('.text', { hasText: 'one two three and so on' }).waitFor()
    await page.getByText('Stopped.', { exact: true }).waitFor()
    assert.deepEqual([faults, foreign], [[], []])
  })

  test('Escape stops an answer, too', async (t) => {
    answersWith((_, answer) => answer.text('on and on '.repeat(500), { pieceMs: 20 }))
    const { page } = await open(t)
    await send(page, 'Go on.')
    await page.getByText('on and on').first().waitFor()
    await page.keyboard.press('Escape')
    await page.locator('.incident', { hasText: 'Stopped.' }).waitFor()
  })

  test('answers again and asks otherwise: all versions stay, and each leads its own way', async (t) => {
    let count = 0
    answersWith(async ({ messages }, answer) => {
      count += 1
      await answer.text(`Answer ${count} to ${messages.at(-1)!.content}`)
      answer.end()
    })
    const { page } = await open(t)
    await send(page, 'first')
    await answered(page, 'Answer 1 to first')
    await send(page, 'second')
    await answered(page, 'Answer 2 to second')
    await page.locator(LAST_ANSWER).getByRole('button', { name: 'Retry' }).click()
    await answered(page, 'Answer 3 to second')
    await page.locator(LAST_ANSWER).getByText('2/2').waitFor()
    await page.locator(LAST_ANSWER).getByRole('button', { name: 'Version before' }).click()
    await answered(page, 'Answer 2 to second')
    assert.deepEqual(
      standIn.chats.at(-1)!.messages.map(({ role, content }) => `${role}: ${content}`),
      ['user: first', 'assistant: Answer 1 to first', 'user: second'],
    )

    const question = page.locator('.message.user').first()
    await question.hover()
    await question.getByRole('button', { name: 'Edit' }).click()
    await page.getByLabel('Edit the message').fill('first, but other')
    await page.keyboard.press('Enter')
    await answered(page, 'Answer 4 to first, but other')
    assert.equal(await page.locator('.message').count(), 2)
    assert.equal(standIn.chats.at(-1)!.messages.length, 1)
    await page.locator('.message.user').getByRole('button', { name: 'Version before' }).click()
    await answered(page, 'Answer 2 to second')

    await page.press('#composer', 'ArrowUp')
    assert.equal(await page.getByLabel('Edit the message').inputValue(), 'second')
    await page.keyboard.press('Escape')
    await page.getByLabel('Edit the message').waitFor({ state: 'detached' })
  })

  test('sends the system prompt and what was set of sampling, and nothing else', async (t) => {
    answersWith(async (_, answer) => {
      await answer.text('Yes.')
      answer.end()
    })
    const { page } = await open(t)
    await send(page, 'Plain?')
    await answered(page, 'Yes.')
    const { model, stream } = standIn.chats[0]!
    assert.deepEqual(Object.keys(standIn.chats[0]!).toSorted(), ['messages', 'model', 'stream', 'stream_options'])
    assert.deepEqual([model, stream], ['demo', true])

    await page.getByRole('button', { name: 'Settings of this conversation' }).click()
    await page.getByLabel('System prompt').fill('Be brief.')
    await page.getByLabel('Temperature').fill('0.5')
    await page.getByLabel('Most tokens').fill('0')
    await page.getByRole('alert').filter({ hasText: '1 to' }).waitFor()
    await page.getByLabel('Most tokens').fill('12')
    await page.getByLabel('Stop texts').fill('\n\nEnd\nStop')
    await page.getByRole('button', { name: 'Close' }).click()
    await page.locator('dialog[open]').waitFor({ state: 'detached' })
    await send(page, 'And now?')
    await page.waitForFunction(() => document.querySelectorAll('.message').length === 4)
    await answered(page, 'Yes.')
    const { messages, stream_options: _, ...options } = standIn.chats[1]!
    assert.deepEqual(messages[0], { role: 'system', content: 'Be brief.' })
    assert.deepEqual(options, {
      model: 'demo',
      stream: true,
      temperature: 0.5,
      max_completion_tokens: 12,
      stop: ['End', 'Stop'],
    })
  })

  test('adapters are models below their own', async (t) => {
    standIn.models = [{ id: 'demo' }, { id: 'moby', parent: 'demo' }]
    t.after(() => {
      standIn.models = [{ id: 'demo' }]
    })
    answersWith(async (_, answer) => {
      await answer.text('Call me.')
      answer.end()
    })
    const { page } = await open(t)
    await page.getByLabel('Model', { exact: true }).selectOption('moby')
    assert.equal(await page.locator('optgroup').getAttribute('label'), 'demo')
    await send(page, 'Who?')
    await answered(page, 'Call me.')
    assert.equal(standIn.chats[0]!.model, 'moby')
  })

  test('keeps several conversations in the browser, and gives back a deleted one', async (t) => {
    answersWith(async ({ messages }, answer) => {
      await answer.text(`On ${messages.at(-1)!.content}`)
      answer.end()
    })
    const { page } = await open(t)
    for (const topic of ['tulips', 'roses']) {
      await send(page, topic)
      await answered(page, `On ${topic}`)
      await page.keyboard.press('Alt+n')
      await page.getByText('What shall the swarm write?').waitFor()
    }
    await page.reload()
    await page.locator('.sidebar').getByRole('link', { name: 'tulips' }).click()
    await answered(page, 'On tulips')
    const address = page.url()
    await page.locator('.sidebar').getByRole('link', { name: 'roses' }).click()
    await answered(page, 'On roses')
    await page.goBack()
    await answered(page, 'On tulips')
    assert.equal(page.url(), address)

    await page.locator('.sidebar li', { hasText: 'tulips' }).hover()
    await page.getByRole('button', { name: 'Delete “tulips”' }).click()
    await page.locator('.sidebar').getByRole('link', { name: 'tulips' }).waitFor({ state: 'detached' })
    await page.getByRole('button', { name: 'Undo' }).click()
    await answered(page, 'On tulips')
    await page.reload()
    await answered(page, 'On tulips')
  })

  test('shows markdown and code, and takes nothing of a model for its own', async (t) => {
    const hostile = [
      '<script>window.wasRun = true</script><img src="https://example.org/a.png" onerror="window.wasRun = true">',
      '![a picture](https://example.org/b.png) [run](javascript:window.wasRun=true) [data](data:text/html,x)',
      '<style>body { display: none }</style> <iframe src="https://example.org"></iframe>',
      '[good](https://example.org/page)',
    ].join('\n\n')
    answersWith(async (_, answer) => {
      await answer.text(`${RICH_ANSWER}\n\n${hostile}`)
      answer.end()
    })
    const { page, foreign, faults } = await open(t)
    await send(page, 'Show me all.')
    await answered(page, 'KV cache')
    const text = page.locator('.text')
    await text.locator('.hljs-keyword', { hasText: 'def' }).waitFor()
    assert.deepEqual(await text.locator('th').allInnerTexts(), ['Server', 'Blocks', 'Tokens/s'])
    assert.equal(
      await text
        .locator('td')
        .nth(2)
        .evaluate((cell) => getComputedStyle(cell).textAlign),
      'right',
    )
    assert.equal(await text.locator('script, img, style, iframe, [onerror]').count(), 0)
    assert.match(await text.innerText(), /<script>window\.wasRun = true<\/script>/)
    const links = await text.locator('a').evaluateAll((all) => all.map((link) => link.getAttribute('href')))
    assert.deepEqual(links, ['https://example.org/protocol', 'https://example.org/b.png', 'https://example.org/page'])
    const rels = await text.locator('a').evaluateAll((all) => all.map((link) => link.getAttribute('rel')))
    assert.deepEqual(new Set(rels), new Set(['noopener noreferrer']))
    assert.equal(await page.evaluate(() => 'wasRun' in window), false)
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
    await text.getByRole('button', { name: 'Copy' }).click()
    await text.getByRole('button', { name: 'Copied' }).waitFor()
    assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^def replay/)
    assert.deepEqual([foreign, faults], [[], []])
  })

  test('the policy lets no script in, were there a way for one', async (t) => {
    const { page, faults } = await open(t)
    await page.evaluate(() => {
      const script = document.createElement('script')
      try {
        script.textContent = 'window.wasRun = true'
      } catch {
        // Trusted types refuse it already.
      }
      document.body.append(script)
      const image = new Image()
      image.src = 'https://example.org/a.png'
      document.body.append(image)
    })
    assert.equal(await page.evaluate(() => 'wasRun' in window), false)
    assert.ok(faults.some((fault) => /trusted/i.test(fault)))
    await assert.rejects(
      page.evaluate(() => document.body.insertAdjacentHTML('beforeend', '<b>x</b>')),
      /TrustedHTML/,
    )
  })

  test('tells which blocks are missing, what broke off, and asks for a key', async (t) => {
    answersWith(async ({ messages }, answer) => {
      const text = messages.at(-1)!.content
      if (text.endsWith('hole'))
        return answer.fail(503, { message: 'no', code: 'blocks_missing', missing_blocks: [3, 4, 5] })
      if (text.endsWith('middle')) {
        await answer.text('So far ')
        answer.chunk({ error: { message: 'the last server was lost', code: 'no_route' } })
        return answer.end()
      }
      await answer.text('Welcome.')
      answer.end()
    })
    const { page } = await open(t)
    await send(page, 'hole')
    await page.getByText('No server holds blocks 3:6.').waitFor()
    await send(page, 'middle')
    await page.getByText('the last server was lost').first().waitFor()
    await page.getByText('So far').waitFor()

    standIn.key = 'secret-key'
    t.after(() => {
      standIn.key = undefined
    })
    await send(page, 'with a key')
    await page.locator('input[name=key]').fill('wrong')
    await page.keyboard.press('Enter')
    await page.getByText('this key is not known here').waitFor()
    await page.locator('input[name=key]').fill('secret-key')
    await page.keyboard.press('Enter')
    await answered(page, 'Welcome.')
    // Failed answers are not sent along: their questions are one with the next.
    assert.deepEqual(
      standIn.chats.at(-1)!.messages.map(({ role }) => role),
      ['user', 'assistant', 'user'],
    )
    assert.equal(await page.evaluate(() => localStorage.getItem('petals-api-key')), null)
    await page.reload()
    await send(page, 'again')
    await answered(page, 'Welcome.')
    await page.getByRole('button', { name: 'Forget the API key' }).click()
    await send(page, 'and again')
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
    await page.locator('.incident.failure').last().waitFor()
  })

  for (const [width, theme] of [
    [1280, 'light'],
    [1280, 'dark'],
    [390, 'light'],
    [390, 'dark'],
  ] as const) {
    test(`can be used by all, ${width} pixels wide and ${theme}`, async (t) => {
      standIn.snapshot = snapshotOf([threeServers()])
      answersWith(async ({ messages }, answer) => {
        if (messages.length === 1) await answer.text(RICH_ANSWER)
        else await answer.text(LONG_CODE)
        const recovery = { lost: ['12D3KooWbertxxxx'], seconds: 0.8, replayed_tokens: 121 }
        const chain = [{ peer: 'a', name: 'ada', blocks: '0:8', device: 'cpu', dtype: 'float32', quant: 'none' }]
        answer.petals({ chain, recoveries: [recovery] })
        answer.end()
      })
      const { page } = await open(t, '/', { width, theme })
      await page.getByText('What shall the swarm write?').waitFor()
      assert.deepEqual(await accessibilityFaults(page), [])
      await send(page, 'What is a KV cache, and what happens to it when a server dies?')
      await answered(page, 'KV cache')
      await page.locator('.hljs-keyword').first().waitFor()
      await page.locator('.thread').evaluate((thread) => thread.scrollTo({ top: 0, behavior: 'instant' }))
      if (width > 1000 && theme === 'light') await screenshot(page, 'chat')
      if (width < 400 && theme === 'dark') await screenshot(page, 'chat-phone')
      assert.deepEqual(await accessibilityFaults(page), [])
      await send(page, 'Code, please.')
      await answered(page, 'Done.')
      await page.getByText('bert was lost and replaced within 0.8 s').first().waitFor()
      assert.deepEqual(await accessibilityFaults(page), [])
      await page.getByRole('button', { name: 'Settings of this conversation' }).click()
      await page.getByLabel('System prompt').waitFor()
      assert.deepEqual(await accessibilityFaults(page), [])
    })
  }
})

async function send(page: Page, text: string): Promise<void> {
  await page.fill('#composer', text)
  await page.press('#composer', 'Enter')
}

async function answered(page: Page, text: string | RegExp): Promise<void> {
  await page.locator(`${LAST_ANSWER} .text`, { hasText: text }).waitFor()
  await page.locator('.composer .stop').waitFor({ state: 'detached' })
}
