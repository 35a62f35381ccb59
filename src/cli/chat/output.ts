import { errorCode, errorMessage } from '../../base/errors.ts'
import type { ChatAnswer } from '../../client/chat/chat-session.ts'
import type { AutoDistributedModelForCausalLM } from '../../client/model/model.ts'
import { TextPrinter, describeResult } from '../terminal/text-printer.ts'

/** Shows answers, notes and errors of a chat. */
export interface ChatOutput {
  /** Shows a piece of an answer. */
  write(text: string): void
  end(answer: ChatAnswer): void
  /** Shows the error of an answer that failed. */
  fail(error: unknown): void
  note(text: string): void
}

/** Writes answers on stdout and everything else on stderr. */
export class TerminalOutput implements ChatOutput {
  readonly #printer: TextPrinter

  constructor(model: AutoDistributedModelForCausalLM) {
    this.#printer = new TextPrinter(model)
  }

  write(text: string): void {
    this.#printer.write(text)
  }

  end(answer: ChatAnswer): void {
    this.#printer.endText()
    if (process.stderr.isTTY)
      this.#printer.note(
        `(${describeResult(answer)}; ${answer.newTokens} of ${answer.contextTokens} prompt tokens were new)`,
      )
  }

  fail(error: unknown): void {
    this.#printer.note(errorMessage(error))
  }

  note(text: string): void {
    this.#printer.note(text)
  }
}

/** Writes a line of JSON on stdout for each answer, also for one that failed. */
export class JsonOutput implements ChatOutput {
  write(): void {
    // The whole answer comes at its end.
  }

  end({ text, finishReason, tokenIds, contextTokens, newTokens, seconds }: ChatAnswer): void {
    this.#line({
      role: 'assistant',
      content: text,
      finishReason,
      contextTokens,
      newTokens,
      answerTokens: tokenIds.length,
      seconds,
    })
  }

  fail(error: unknown): void {
    this.#line({ error: { code: errorCode(error), message: errorMessage(error) } })
  }

  note(text: string): void {
    process.stderr.write(`${text}\n`)
  }

  #line(value: unknown): void {
    process.stdout.write(`${JSON.stringify(value)}\n`)
  }
}
