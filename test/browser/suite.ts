import { type TestContext, after, before } from 'node:test'
import type { Browser } from 'playwright-core'
import { type OpenPage, type PageOptions, openPage, startBrowser } from './chromium.ts'

/** What serves the pages of a suite. */
interface PageServer {
  readonly url: string
  start(): Promise<void>
  stop(): Promise<void>
}

/** Runs a browser and a server for the suite in which this is called; what it returns opens a page at a path. */
export function pagesOf(server: PageServer) {
  let browser: Browser | undefined
  before(async () => {
    await server.start()
    browser = await startBrowser()
  })
  after(async () => {
    await browser?.close()
    await server.stop()
  })
  return (t: TestContext, path = '/', options?: PageOptions): Promise<OpenPage> =>
    openPage(t, browser!, server.url + path, options)
}
