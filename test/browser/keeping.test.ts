import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Page } from 'playwright-core'
import { browserIsMissing } from './chromium.ts'
import { StandIn } from './stand-in.ts'
import { pagesOf } from './suite.ts'

describe('conversations are kept', { skip: browserIsMissing() }, () => {
  const standIn = new StandIn()
  const open = pagesOf(standIn)

  function answersWith(answer: StandIn['answer']): void {
    standIn.answer = answer
  }

  test('a page that is loaded again in mid-answer has the question, and what had come', async (t) => {
    answersWith(async (_, answer) => {
      await answer.text('the first words')
      await new Promise((resolve) => answer.signal.addEventListener('abort', resolve))
    })
    const { page, faults } = await open(t)
    await send(page, 'A question.')
    await page.locator('.text', { hasText: 'the first words' }).waitFor()
    // Sooner than what has come is written down by itself.
    await page.reload()
    await page.locator('.message.user', { hasText: 'A question.' }).waitFor()
    await page.locator('.text', { hasText: 'the first words' }).waitFor()
    await page.getByText('Stopped.', { exact: true }).waitFor()
    assert.deepEqual(faults, [])
  })

  test('two pages show the same conversations, and neither takes from the other what it wrote', async (t) => {
    const goOn = Promise.withResolvers<void>()
    answersWith(async ({ messages }, answer) => {
      const question = messages.at(-1)!.content
      await answer.text(`On ${question}`)
      if (question === 'slowly') {
        await goOn.promise
        await answer.text(' and on')
      }
      answer.end()
    })
    const { page: first, context, faults } = await open(t)
    await send(first, 'shared')
    await answered(first, 'On shared')
    const second = await context.newPage()
    await second.goto(first.url())
    await answered(second, 'On shared')

    // One is answered while the other asks as well.
    await send(first, 'slowly')
    await first.locator('.text', { hasText: 'On slowly' }).waitFor()
    await second.locator('.text', { hasText: 'On slowly' }).waitFor()
    await send(second, 'quickly')
    await answered(second, 'On quickly')
    goOn.resolve()
    await first.locator('.composer .stop').waitFor({ state: 'detached' })
    await second.locator('.text', { hasText: 'On slowly and on' }).waitFor()
    await first.locator('.text', { hasText: 'On quickly' }).waitFor()
    await first.reload()
    await first.locator('.text', { hasText: 'On slowly and on' }).waitFor()
    await first.locator('.text', { hasText: 'On quickly' }).waitFor()

    await second.keyboard.press('Alt+n')
    await send(second, 'another')
    await first.locator('.sidebar').getByRole('link', { name: 'another' }).waitFor()
    await second.locator('.sidebar li', { hasText: 'shared' }).hover()
    await second.getByRole('button', { name: 'Delete “shared”' }).click()
    await first.locator('.sidebar').getByRole('link', { name: 'shared' }).waitFor({ state: 'detached' })
    await first.getByText('What shall the swarm write?').waitFor()
    assert.deepEqual(faults, [])
  })

  test('where the browser has no room left, the page says so and goes on', async (t) => {
    answersWith(async (_, answer) => {
      await answer.text('word '.repeat(5000))
      answer.end()
    })
    const { page, context, faults } = await open(t)
    const session = await context.newCDPSession(page)
    await session.send('Storage.overrideQuotaForOrigin', { origin: standIn.url, quotaSize: 1000 })
    await send(page, 'Much.')
    await page.getByRole('alert').filter({ hasText: 'the storage of this browser is full' }).waitFor()
    await page.locator('.composer .stop').waitFor({ state: 'detached' })
    await session.send('Storage.overrideQuotaForOrigin', { origin: standIn.url })
    answersWith(async (_, answer) => {
      await answer.text('There is.')
      answer.end()
    })
    await send(page, 'And now?')
    await answered(page, 'There is.')
    await page.getByRole('alert').waitFor({ state: 'detached' })
    await page.reload()
    await answered(page, 'There is.')
    assert.deepEqual(faults, [])
  })

  test('what is told below leaves the box free, also on a phone', async (t) => {
    answersWith(async (_, answer) => {
      await answer.text('Yes.')
      answer.end()
    })
    const { page } = await open(t, '/', { width: 390, height: 700 })
    await send(page, 'A question whose words are more than one line of a small screen has room for')
    await answered(page, 'Yes.')
    await page.getByRole('button', { name: 'Conversations' }).click()
    await page
      .getByRole('dialog')
      .getByRole('button', { name: /^Delete/ })
      .click()
    await page.keyboard.press('Escape')
    await page.evaluate(() => {
      IDBObjectStore.prototype.put = () => {
        throw new DOMException('full', 'QuotaExceededError')
      }
    })
    await send(page, 'Another')
    await page.getByRole('alert').filter({ hasText: 'Not kept' }).waitFor()
    const [box, ...told] = await Promise.all(
      ['.composer-box', '.toast >> nth=0', '.toast >> nth=1'].map((each) => page.locator(each).boundingBox()),
    )
    for (const { y, height } of told as { y: number; height: number }[]) assert.ok(y + height <= box!.y)
    assert.ok(told[0]!.y + told[0]!.height <= told[1]!.y)
  })

  test('a text runs in the direction of its script, and code always from the left', async (t) => {
    answersWith(async (_, answer) => {
      await answer.text('مرحبا بالعالم\n\n1. أول\n\n```\nשלום = 1\n```\n\nplain')
      answer.end()
    })
    const { page } = await open(t)
    await send(page, 'سؤال')
    await answered(page, 'plain')
    const directionOf = (selector: string): Promise<string> =>
      page
        .locator(selector)
        .first()
        .evaluate((element) => getComputedStyle(element).direction)
    const found = await Promise.all(
      ['.bubble [dir]', '.text p', '.text ol', '.text pre', '.block:last-of-type p'].map(directionOf),
    )
    assert.deepEqual(found, ['rtl', 'rtl', 'rtl', 'ltr', 'ltr'])
    const marker = await page.locator('.text ol').evaluate((list) => getComputedStyle(list).paddingRight)
    assert.notEqual(marker, '0px')
  })
})

async function send(page: Page, text: string): Promise<void> {
  await page.fill('#composer', text)
  await page.press('#composer', 'Enter')
}

async function answered(page: Page, text: string): Promise<void> {
  await page.locator('.message.assistant:last-child .text', { hasText: text }).waitFor()
  await page.locator('.composer .stop').waitFor({ state: 'detached' })
}
