import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { accessibilityFaults } from './checks.ts'
import { browserIsMissing } from './chromium.ts'
import { modelOf, serverOf, sixtyServers, snapshotOf, threeServers } from './snapshots.ts'
import { StandIn } from './stand-in.ts'
import { pagesOf } from './suite.ts'

/** A swarm in trouble: nobody holds blocks 3 to 5. */
const TROUBLED = modelOf('demo', 8, [
  serverOf('ada', 0, 3, { isOwn: true, adapters: ['moby'] }),
  serverOf('bert', 3, 6, { answers: false }),
  serverOf('carl', 6, 8, { reachable: false }),
  serverOf('dora', 3, 8, { state: 'JOINING', throughput: 0 }),
])

describe('the page of the swarm', { skip: browserIsMissing() }, () => {
  const standIn = new StandIn()
  const open = pagesOf(standIn)

  test('shows who holds what, and what changes as it changes', async (t) => {
    standIn.snapshot = snapshotOf([threeServers()])
    const { page, faults, foreign } = await open(t, '/swarm')
    await page.getByText('every block held at least once').waitFor()
    assert.equal(await page.locator('.hole').count(), 0)
    const [ada, bert] = await page.locator('.bar').all()
    const [first, second, axis] = await Promise.all(
      [ada!, bert!, page.locator('.map-lanes')].map((each) => each.boundingBox()),
    )
    // Bars lie over their blocks: three of eight each, one after the other.
    assert.ok(Math.abs(first!.width / axis!.width - 3 / 8) < 0.01)
    assert.ok(Math.abs(first!.x + first!.width - second!.x) < 2)

    const server = { peerId: '12D3KooWbertxxxx', name: 'bert' }
    standIn.tell(
      snapshotOf(
        [TROUBLED],
        [
          { at: Date.now(), model: 'demo', kind: 'recovery', lost: [server], seconds: 0.84, replayedTokens: 121 },
          { at: Date.now() - 5000, model: 'demo', kind: 'vanished', server, blocks: '3:6' },
        ],
      ),
    )
    await page.getByRole('alert').filter({ hasText: 'Nobody holds blocks 3:6 of 8.' }).waitFor()
    const hole = page.locator('.hole')
    assert.equal(await hole.count(), 1)
    assert.match(await hole.evaluate((each) => getComputedStyle(each).backgroundImage), /repeating-linear-gradient/)
    await page.getByText('An answer lost bert and went on after 0.8 s, 121 tokens computed again').waitFor()
    await page.getByText('bert does not answer any more').waitFor()
    assert.deepEqual(await page.locator('tbody .state').allInnerTexts(), ['online', 'no answer', 'online', 'joining'])
    assert.match(await page.locator('tbody th').first().innerText(), /this node, adapter moby/)
    assert.match(await page.locator('.cover').innerText(), /held by nobody/)

    standIn.tell(snapshotOf([threeServers()]))
    await hole.waitFor({ state: 'detached' })
    assert.deepEqual([faults, foreign], [[], []])
  })

  test('arrows go from server to server, and Enter to its figures', async (t) => {
    standIn.snapshot = snapshotOf([threeServers()])
    const { page } = await open(t, '/swarm')
    await page.locator('.bar a').first().focus()
    await page.keyboard.press('ArrowRight')
    await page.keyboard.press('ArrowRight')
    await page.locator('tr[data-pointed=true]', { hasText: 'carl' }).waitFor()
    await page.keyboard.press('Enter')
    assert.equal(await page.evaluate(() => document.activeElement?.id), 'server-12D3KooWcarlxxxx')
    assert.equal(await page.locator('.bar a[tabindex="0"]').count(), 1)
  })

  test('says that what it shows is old when the server is gone, and goes on when it is back', async (t) => {
    standIn.snapshot = snapshotOf([threeServers()])
    const { page } = await open(t, '/swarm')
    await page.locator('.bar').first().waitFor()
    standIn.dropWatchers()
    await page.getByText('What is shown is not up to date.').waitFor()
    await page.getByText('What is shown is not up to date.').waitFor({ state: 'detached' })
  })

  for (const [width, theme] of [
    [1280, 'light'],
    [1280, 'dark'],
    [390, 'light'],
    [390, 'dark'],
  ] as const) {
    test(`can be used by all, ${width} pixels wide and ${theme}`, async (t) => {
      standIn.snapshot = snapshotOf([modelOf('demo', 8, [])])
      const { page } = await open(t, '/swarm', { width, theme })
      await page.getByText('Nobody serves this model yet.').waitFor()
      assert.deepEqual(await accessibilityFaults(page), [])
      standIn.tell(snapshotOf([TROUBLED]))
      await page.locator('.bar').nth(3).waitFor()
      assert.deepEqual(await accessibilityFaults(page), [])
      standIn.tell(snapshotOf([sixtyServers()]))
      await page.locator('.bar').nth(59).waitFor()
      assert.deepEqual(await accessibilityFaults(page), [])
    })
  }
})
