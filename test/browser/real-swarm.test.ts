import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { type LocalSwarm, startLocalSwarm } from '../../src/cli/process/local-swarm.ts'
import { type TestApi, startTestApi } from '../api/kit.ts'
import { DEMO } from '../client/kit.ts'
import { eventually } from '../eventually.ts'
import { browserIsMissing, openPage, screenshot, startBrowser } from './chromium.ts'

/** Two servers hold the middle: one of them is to be spared. */
const SPANS = [
  [0, 3],
  [3, 6],
  [3, 6],
  [6, 8],
] as const
const NAMES = ['ada', 'bert', 'carl', 'dora']

/** Long enough to kill a server in its middle, also where the machine is fast. */
const MOST_TOKENS = 300

describe('the pages of an API over four servers in processes of their own', { skip: browserIsMissing() }, () => {
  let browser: Browser
  let swarm: LocalSwarm
  let api: TestApi

  before(async () => {
    browser = await startBrowser()
    swarm = await startLocalSwarm({ model: DEMO, spans: SPANS, names: NAMES, bootstrap: false, threads: 1 })
    api = await startTestApi({}, { spans: [], bootstrap: [swarm.bootstrap] })
  })
  after(async () => {
    await browser?.close()
    await api?.stop()
    await swarm?.stop()
  })

  function kill(peerId: string): void {
    swarm.servers.find((server) => server.peerId === peerId)!.process.kill('SIGKILL')
  }

  test('an answer goes on when its server is killed, the same to the letter, and the pages tell', async (t) => {
    const { page, foreign } = await openPage(t, browser, api.url)
    await page.getByText('4 servers, all 8 blocks').waitFor()
    await set(page, { Temperature: '0', 'Most tokens': String(MOST_TOKENS) })
    await page.fill('#composer', 'Tell me of the sea.')
    await page.keyboard.press('Enter')
    const answer = page.locator('.message.assistant')
    const hops = answer.locator('.chain li')
    await eventually(async () => String(await answer.locator('.hop-blocks').allInnerTexts()) === '0:3,3:6,6:8')
    await page.waitForFunction(() => document.querySelector('.text')!.textContent.length > 100)
    const [lost = ''] = (await hops.nth(1).getAttribute('title'))!.split(',')
    kill(lost)
    await answer.locator('.recovery', { hasText: 'was lost and replaced' }).waitFor({ timeout: 60_000 })
    await page.locator('.composer .stop').waitFor({ state: 'detached', timeout: 120_000 })
    await answer.getByText(`${MOST_TOKENS} tokens`).waitFor()
    await screenshot(page, 'recovery')
    const [spare = ''] = (await hops.nth(1).getAttribute('title'))!.split(',')
    assert.notEqual(spare, lost)
    assert.ok(swarm.servers.some(({ peerId, blocks }) => peerId === spare && blocks === '3:6'))

    const repaired = await answer.locator('.text').innerText()
    await answer.getByRole('button', { name: 'Retry' }).click()
    await answer.getByText('2/2').waitFor({ timeout: 120_000 })
    assert.equal(await answer.locator('.text').innerText(), repaired)
    assert.equal(await answer.locator('.recovery').count(), 0)

    await page.getByRole('link', { name: 'Swarm', exact: true }).click()
    await page.getByText(/An answer lost .* and went on after/).waitFor()
    await page
      .getByText(/does not answer any more|left/)
      .first()
      .waitFor()
    await screenshot(page, 'swarm')
    kill(spare)
    await page.getByRole('alert').filter({ hasText: 'Nobody holds blocks 3:6 of 8.' }).waitFor({ timeout: 60_000 })
    await page.locator('.hole').waitFor()
    await screenshot(page, 'swarm-hole')

    await page.getByRole('link', { name: 'Chat', exact: true }).click()
    await page.getByText('blocks 3:6 missing').waitFor()
    await page.fill('#composer', 'And of the land?')
    await page.keyboard.press('Enter')
    await page.getByText('No server holds blocks 3:6.').waitFor()
    assert.deepEqual(foreign, [])
  })
})

/** Fills in settings of the conversation, by their labels. */
async function set(page: Page, fields: Readonly<Record<string, string>>): Promise<void> {
  await page.getByRole('button', { name: 'Settings of this conversation' }).click()
  for (const [label, value] of Object.entries(fields)) await page.getByLabel(label).fill(value)
  await page.getByRole('button', { name: 'Close' }).click()
  await page.locator('dialog[open]').waitFor({ state: 'detached' })
}
