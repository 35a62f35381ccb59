import { PetalsError } from '../../base/errors.ts'
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
 * that nobody else's text waits for them. One that is aborted while it waits is left out.
 */
export class PromptPrinter {
  readonly #template: ChatTemplate
  readonly #source: TemplateSource
  readonly #thread: IdleThread<PrinterCalls>

  constructor({ template, source }: PrinterModules) {
    this.#template = template
    this.#source = source
    this.#thread = new IdleThread({
      start: () => startWorker(import.meta.url, 'printer-worker', { workerData: source }),
      lost: notPrinted,
    })
  }

  /** The text that the model continues. Throws `ChatTemplateError`, `CHAT_PRINTER`, or the signal's reason. */
  async print(
    messages: readonly (ChatMessage | TemplateMessage)[],
    options: RenderOptions = {},
    signal?: AbortSignal,
  ): Promise<string> {
    if (!isLong([messages, options])) return this.#template.render(messages, options)
    signal?.throwIfAborted()
    // Handing it over takes a while as well.
    await sharedTurns.next()
    const printed = await this.#thread.call('print', { messages, options }, signal)
    if ('refusal' in printed) throw new ChatTemplateError(this.#source.name, printed.refusal)
    return printed.text
  }

  /** Ends the thread; what is long is not printed any more. May be called again. */
  close(): Promise<void> {
    return this.#thread.end(notPrinted('the model is being closed'))
  }
}

/** What neither the conversation nor the template is the reason of. */
function notPrinted(reason: string): PetalsError {
  return new PetalsError('CHAT_PRINTER', `the conversation was not printed: ${reason}`)
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
