import { errorBody } from '../errors/error-of.ts'
import type { Exchange } from '../http/exchange.ts'

/** Sends an event of a kind that OpenAI's streams do not have, as soon as it can; one that cannot be sent is lost. */
export type Tell = (name: string, data: object) => void

/**
 * Answers with a stream of OpenAI's kind: what `work` sends, and `[DONE]`. What it throws before anything was sent is
 * thrown on, to be answered with a status; afterwards it is told as an event.
 */
export async function streamEvents(
  exchange: Exchange,
  work: (send: (chunk: object) => Promise<void>, tell: Tell) => Promise<void>,
): Promise<void> {
  const events = exchange.events()
  try {
    const tell: Tell = (name, data) => void events.send(JSON.stringify(data), name).catch(() => undefined)
    await work((chunk) => events.send(JSON.stringify(chunk)), tell)
    await events.send('[DONE]')
  } catch (error) {
    if (!events.isOpen || exchange.signal.aborted) throw error
    await events.send(JSON.stringify(errorBody(error)))
    await events.send('[DONE]')
  } finally {
    events.end()
  }
}
