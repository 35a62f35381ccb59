import { errorBody } from '../errors/error-of.ts'
import type { Exchange } from '../http/exchange.ts'

/**
 * Answers with a stream of OpenAI's kind: what `work` sends, and `[DONE]`. What it throws before anything was sent is
 * thrown on, to be answered with a status; afterwards it is told as an event.
 */
export async function streamEvents(
  exchange: Exchange,
  work: (send: (chunk: object) => Promise<void>) => Promise<void>,
): Promise<void> {
  const events = exchange.events()
  try {
    await work((chunk) => events.send(JSON.stringify(chunk)))
    await events.send('[DONE]')
  } catch (error) {
    if (!events.isOpen || exchange.signal.aborted) throw error
    exchange.fail(error)
    await events.send(JSON.stringify(errorBody(error)))
    await events.send('[DONE]')
  } finally {
    events.end()
  }
}
