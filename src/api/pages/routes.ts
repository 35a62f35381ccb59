import type { Exchange } from '../http/exchange.ts'
import type { Route } from '../http/router.ts'
import { notFound } from '../errors/api-error.ts'
import { answerWith } from './page-answer.ts'
import { PageFiles } from './page-files.ts'

/** The web pages and what they load. Anybody may have them: what they show they ask for with the user's key. */
export function pageRoutes(files = new PageFiles()): Route[] {
  return files.paths.map((path) => ({
    method: 'GET',
    path,
    isOpen: true,
    handle: (exchange) => sendFile(files, path, exchange),
  }))
}

async function sendFile(files: PageFiles, path: string, exchange: Exchange): Promise<void> {
  const file = await files.get(path)
  if (file === undefined) throw notFound(`there is nothing at ${path}`, 'unknown_url')
  const { status, headers, body } = answerWith(file, {
    ifNoneMatch: exchange.header('if-none-match'),
    acceptEncoding: exchange.header('accept-encoding'),
  })
  const { response, method } = exchange
  response.writeHead(status, body === undefined ? headers : { ...headers, 'content-length': body.byteLength })
  response.end(method === 'HEAD' ? undefined : body)
}
