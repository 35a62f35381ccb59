import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type Browser, type BrowserContext, type Page, chromium } from 'playwright-core'

/** Where Debian and others put it; TEST_CHROMIUM names another one. */
const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** The browser's program; undefined where there is none. */
export const CHROMIUM = [process.env['TEST_CHROMIUM'], ...PLACES].find((path) => path !== undefined && existsSync(path))

/**
 * Why tests in a browser are left out; false where there is one. Where TEST_REQUIRES_BROWSER is set (as in CI) they
 * must run.
 */
export function browserIsMissing(): string | false {
  if (CHROMIUM !== undefined) return false
  if (process.env['TEST_REQUIRES_BROWSER'] !== undefined)
    throw new Error('TEST_REQUIRES_BROWSER is set, and no chromium is here')
  return 'no chromium is here (apt-get install chromium)'
}

export async function startBrowser(): Promise<Browser> {
  return await chromium.launch({ executablePath: CHROMIUM!, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
}

/** How a page is opened. */
export interface PageOptions {
  readonly width?: number
  readonly height?: number
  readonly theme?: 'light' | 'dark'
}

/** A page, and what must not have happened on it. */
export interface OpenPage {
  readonly page: Page
  readonly context: BrowserContext
  /** Addresses outside of the page's origin that it asked for. */
  readonly foreign: string[]
  /** Errors of scripts, and breaches of the policy. */
  readonly faults: string[]
}

export async function openPage(t: TestContext | undefined, browser: Browser, url: string, options: PageOptions = {}) {
  const { width = 1280, height = 800, theme = 'light' } = options
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: theme,
    deviceScaleFactor: 1,
    hasTouch: width < 500,
    isMobile: width < 500,
  })
  t?.after(() => context.close())
  const page = await context.newPage()
  // A loaded machine is slow.
  page.setDefaultTimeout(60_000)
  const foreign: string[] = []
  const faults: string[] = []
  page.on('request', (request) => {
    const { origin, protocol } = new URL(request.url())
    if (origin !== new URL(url).origin && protocol !== 'data:' && protocol !== 'blob:') foreign.push(request.url())
  })
  page.on('pageerror', (error) => faults.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text())
  })
  await page.goto(url)
  return { page, context, foreign, faults } satisfies OpenPage
}

/** Where TEST_SCREENSHOTS names a folder, the page as it looks goes there as WebP, for the documentation. */
export async function screenshot(page: Page, name: string): Promise<void> {
  const folder = process.env['TEST_SCREENSHOTS']
  if (folder === undefined) return
  await page.mouse.move(0, 0)
  const png = await page.screenshot({ animations: 'disabled' })
  const blank = await page.context().newPage()
  const webp = await blank.evaluate(async (base64) => {
    const image = new Image()
    image.src = `data:image/png;base64,${base64}`
    await image.decode()
    const canvas = document.createElement('canvas')
    canvas.width = image.width
    canvas.height = image.height
    canvas.getContext('2d')!.drawImage(image, 0, 0)
    return canvas.toDataURL('image/webp', 0.9).split(',')[1]!
  }, png.toString('base64'))
  await blank.close()
  await writeFile(join(folder, `${name}.webp`), Buffer.from(webp, 'base64'))
}
