import { orAborted } from '../../base/abort.ts'
import { sharedTurns } from '../../base/shared-turns.ts'
import { startWorker } from '../../base/thread/start-worker.ts'
import { IdleThread } from '../../base/thread/idle-thread.ts'
import type { ChatMessage, ChatTemplate, RenderOptions, TemplateMessage } from './messages.ts'
import type { PrinterCalls } from './printer-calls.ts'
import { ChatTemplateError, type TemplateSource } from './template-source.ts'

/**
 * Conversations of more values than this are printed in the thread: about 500 messages, which templates take 2 to 5 ms
 * for. A text counts as one value for each `CHARS_A_VALUE` characters.
 */
const MAX_VALUES = 2000
const CHARS_A_VALUE = 512

/** What a model's conversations are printed with. */
export interface PrinterModules {
  readonly template: ChatTemplate
  /** The same template, for the thread. */
  readonly source: TemplateSource
}

/**
 * Prints the conversations of many users: short ones at once, long ones in a thread of their own, one after another, so
 * that nobody else's text waits for them. One that is aborted while it waits is left out; what has begun goes on to its
 * end, and the next one waits for that.
 */
export class PromptPrinter {
  readonly #template: ChatTemplate
  readonly #source: TemplateSource
  readonly #thread: IdleThread<PrinterCalls>
  /** Resolved when the last of the long ones is printed. */
  #last: Promise<void> = Promise.resolve()

  constructor({ template, source }: PrinterModules) {
    this.#template = template
    this.#source = source
    this.#thread = new IdleThread({
      start: () => startWorker(import.meta.url, 'printer-worker', { workerData: source }),
      lost: (reason) => this.#failure(`it cannot be rendered: ${reason}`),
    })
  }

  /** The text that the model continues. Throws `CHAT_TEMPLATE`, or the signal's reason. */
  async print(
    messages: readonly (ChatMessage | TemplateMessage)[],
    options: RenderOptions = {},
    signal?: AbortSignal,
  ): Promise<string> {
    if (!isLong([messages, options])) return this.#template.render(messages, options)
    signal?.throwIfAborted()
    // Handing it over takes a while as well.
    await sharedTurns.next()
    const before = this.#last
    const { promise: over, resolve } = Promise.withResolvers<void>()
    this.#last = before.then(() => over)
    try {
      await orAborted(before, signal)
    } catch (error) {
      resolve()
      throw error
    }
    const printing = this.#thread.call('print', { messages, options })
    void printing.catch(() => undefined).finally(resolve)
    const printed = await orAborted(printing, signal)
    if ('refusal' in printed) throw this.#failure(printed.refusal)
    return printed.text
  }

  /** Ends the thread; what is long is not printed any more. May be called again. */
  close(): Promise<void> {
    return this.#thread.end(this.#failure('the model is being closed'))
  }

  #failure(reason: string): ChatTemplateError {
    return new ChatTemplateError(this.#source.name, reason)
  }
}

/** Whether plain data has more than `MAX_VALUES` values; no more of them are looked at. */
function isLong(data: unknown): boolean {
  const open = [data]
  let numValues = 0
  while (open.length > 0 && numValues <= MAX_VALUES) {
    const value = open.pop()
    numValues += typeof value === 'string' ? 1 + value.length / CHARS_A_VALUE : 1
    if (typeof value !== 'object' || value === null) continue
    for (const part of Object.values(value)) if (open.push(part) > MAX_VALUES) return true
  }
  return numValues > MAX_VALUES
}
